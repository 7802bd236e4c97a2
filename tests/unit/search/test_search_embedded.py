"""The embedded index as its users see it: what they find, and what goes wrong."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord, Fatal, Retriable
from tailrace.event import Column
from tailrace.schema import UNAVAILABLE, Schema
from tailrace.testing.deliveries import COLUMNS, TOPIC, Deliveries
from tailrace_search.embedded import SearchConfig, SearchSink
from tailrace_search.fulltext import FILE


def sink_at(folder: Path, **settings: str) -> SearchSink:
    block = {"type": "search", "topics": ["*"], "path": folder / "index", **settings}
    return SearchSink("find", SearchConfig.model_validate(block))


def load(sink: SearchSink, told: Deliveries, *deliveries: list[Delivery]) -> None:
    with closing(sink):
        sink.open("find")
        for each in deliveries:
            sink.write(each)
        sink.commit(told.position)


def found(sink: SearchSink, query: str) -> list[str]:
    return [hit.id for hit in sink.search(query)]


def test_what_people_look_for(tmp_path: Path) -> None:
    told, sink = Deliveries(tmp_path), sink_at(tmp_path)
    load(
        sink,
        told,
        told.insert(1, name="Red pear", note="sweet"),
        told.insert(2, name="Green pear", note="o'neill@example.com"),
        told.insert(3, name="Crème brûlée", note='say "red"'),
    )
    assert sorted(found(sink, "pear")) == ["1", "2"]
    assert found(sink, "red pear") == ["1"]
    assert found(sink, "name: red") == ["1"]
    assert sorted(found(sink, "red")) == ["1", "3"]
    assert found(sink, "creme brul*") == ["3"]
    assert found(sink, '"green pear"') == ["2"]
    assert found(sink, "o'neill@example.com") == ["2"]  # not FTS5's language: its words, next to each other
    assert found(sink, 'say "') == ["3"]
    assert found(sink, "plum") == []
    assert found(sink, "") == []
    (hit,) = sink.search("sweet", topics=["contract.*"])
    assert (hit.topic, hit.document["name"]) == (TOPIC, "Red pear")
    assert sink.search("sweet", topics=["other.*"]) == []
    assert len(sink.search("pear", limit=1)) == 1


def test_a_reader_sees_commits_only(tmp_path: Path) -> None:
    told, sink = Deliveries(tmp_path), sink_at(tmp_path)
    load(sink, told, told.insert(1, name="one"))
    with closing(sink):
        sink.open("find")
        sink.write(told.update(1, name="uno"))
        assert found(sink_at(tmp_path), "one") == ["1"]
        assert found(sink_at(tmp_path), "uno") == []


def test_a_moved_row_keeps_what_was_not_sent_over_a_crash_between_its_halves(tmp_path: Path) -> None:
    told, sink = Deliveries(tmp_path), sink_at(tmp_path)
    load(sink, told, told.insert(1, name="one", note="long"))
    told.rows[1]["note"] = UNAVAILABLE
    delete, tombstone, create = told.move(1, 2)
    load(sink, told, [delete, tombstone])
    load(sink_at(tmp_path), told, [create])
    assert found(sink, "long") == ["2"]
    connection = sqlite3.connect(tmp_path / "index" / FILE)
    with closing(connection):
        assert connection.execute("SELECT * FROM moves").fetchall() == []


def test_columns_that_sqlite_would_mix_up(tmp_path: Path) -> None:
    text = Schema("string", optional=True)
    columns = [COLUMNS[0], *(Column(name, text, bytes.decode) for name in ("rank", "Name", "name", 'say "x"'))]
    told, sink = Deliveries(tmp_path, columns=columns), sink_at(tmp_path)
    load(sink, told, told.insert(1, rank="first", Name="upper", name="lower", **{'say "x"': "quoted"}))
    for word in ("first", "upper", "lower", "quoted"):
        assert found(sink, word) == ["1"]


def test_tables_without_a_key(tmp_path: Path) -> None:
    told = Deliveries(tmp_path, key=())
    story = [*told.insert(1, name="one"), *told.update(1, name="uno")]
    with pytest.raises(BadRecord, match="table has no key") as refused:
        load(sink_at(tmp_path), told, story)
    assert "without_key: append" in refused.value.hint
    sink = sink_at(tmp_path, without_key="append")
    load(sink, told, story)
    load(sink, told, story)
    assert [(hit.id, hit.document["__op"]) for hit in sink.search("one OR uno")] == [("0-0", "c"), ("0-1", "u")]


def test_what_cannot_be_read_is_handed_back(tmp_path: Path) -> None:
    told, sink = Deliveries(tmp_path), sink_at(tmp_path)
    rejected: list[Delivery] = []
    sink.reject_with(lambda delivery, error: rejected.append(delivery))
    load(sink, told, told.insert(1, name="one"), told.unreadable(), told.insert(2, name="two"))
    assert [delivery.record.offset for delivery in rejected] == [1]
    assert sorted(found(sink, "one OR two")) == ["1", "2"]


def test_positions_from_outside(tmp_path: Path) -> None:
    told, sink = Deliveries(tmp_path), sink_at(tmp_path)
    assert sink.position("find") is None
    load(sink, told, told.insert(1, name="one"))
    assert sink.position("find") == told.position
    sink.set_position("find", {"x-0": 7})
    assert sink.position("find") == {"x-0": 7}
    with closing(sink_at(tmp_path)) as other:
        other.open("find")
        with pytest.raises(Retriable, match="another process is its writer"):
            sink.set_position("find", None)


def test_what_is_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="there is none"):
        sink_at(tmp_path).search("x")
    (tmp_path / "index").write_text("a file")
    with pytest.raises(Fatal, match="make search index"):
        sink_at(tmp_path).open("find")
    (finding,) = sink_at(tmp_path).check()
    assert not finding.ok
    other = tmp_path / "other" / "index"
    other.mkdir(parents=True)
    (other / FILE).write_text("no database, but long enough to be taken for one" * 100)
    with pytest.raises(Fatal, match="not a database") as damaged:
        sink_at(tmp_path / "other").open("find")
    assert "filled again from the log" in damaged.value.hint


def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    told, sink = Deliveries(tmp_path), sink_at(tmp_path)
    load(sink, told, told.insert(1, name="one"))
    with closing(sink):
        sink.open("find")
        sink._library._sql.execute("PRAGMA max_page_count = 1")  # as many as there are
        with pytest.raises(Retriable, match="full") as full:
            sink.write([delivery for number in range(2, 300) for delivery in told.insert(number, name="x" * 500)])
        assert full.value.patient
    load(sink, told, told.update(1, name="uno"))
    assert found(sink, "uno") == ["1"]
