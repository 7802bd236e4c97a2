"""What goes wrong with a cluster, as the operator of a sink sees it; and what it does not do to the documents."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pytest

from databases.search.stage import TASK, ClusterStage, stage_of
from servers.opensearch_node import OpenSearchNode, make_certificates
from tailrace.demo.postgres import free_port
from tailrace.errors import Fatal, Retriable
from tailrace.event import Column
from tailrace.schema import UNAVAILABLE, Schema
from tailrace.testing.deliveries import COLUMNS, TOPIC, Deliveries

INDEX = f"{TOPIC}-000001"


@pytest.fixture
def stage(opensearch: OpenSearchNode, tmp_path: Path) -> ClusterStage:
    return stage_of(opensearch, tmp_path)


def opened(stage: ClusterStage) -> None:
    with closing(stage.sink()) as sink:
        sink.open(TASK)


def test_wrong_credentials(opensearch: OpenSearchNode, tmp_path: Path) -> None:
    stage = stage_of(opensearch, tmp_path, password="guessed")
    with pytest.raises(Fatal, match="refuses the credentials") as refused:
        opened(stage)
    assert "guessed" not in str(refused.value)
    (finding,) = stage.sink().check()
    assert not finding.ok
    assert "username and password" in finding.mend


def test_missing_grants(opensearch: OpenSearchNode, tmp_path: Path) -> None:
    stage = stage_of(opensearch, tmp_path, username="reader", password="reader")
    with pytest.raises(Fatal, match="no permissions") as refused:
        opened(stage)
    assert "docs/sinks-search.md" in refused.value.hint
    assert [finding.ok for finding in stage.sink().check()][:2] == [True, False]


def test_a_certificate_of_somebody_else(opensearch: OpenSearchNode, tmp_path: Path) -> None:
    make_certificates(tmp_path, tmp_path)
    stage = stage_of(opensearch, tmp_path, ca=tmp_path / "ca.pem")
    with pytest.raises(Fatal, match=r"certificate|signature") as refused:
        opened(stage)
    assert "ca:" in refused.value.hint


def test_hosts_that_are_not_there(opensearch: OpenSearchNode, tmp_path: Path) -> None:
    nobody = f"https://127.0.0.1:{free_port()}"
    with pytest.raises(Retriable, match=r"reach https://127\.0\.0\.1") as away:
        opened(stage_of(opensearch, tmp_path, urls=[nobody]))
    assert away.value.patient
    stage = stage_of(opensearch, tmp_path, urls=[nobody, opensearch.url])
    stage.load(stage.told.insert(1))
    assert stage.stored() == [1]


def test_everything_is_in_order(stage: ClusterStage) -> None:
    findings = stage.sink().check()
    assert [finding.mend for finding in findings if not finding.ok] == []
    assert any("opensearch 2.19" in finding.what for finding in findings)


def test_templates_and_blocks_in_the_way(stage: ClusterStage) -> None:
    stage.load(stage.told.insert(1))
    other = {"index_patterns": ["contract.*"], "priority": 500, "template": {}}
    stage.node.call("PUT", "/_index_template/other", other)
    stage.node.call("PUT", f"/{INDEX}/_settings", {"index.blocks.write": True})
    faults = [finding.what for finding in stage.sink().check() if not finding.ok]
    assert len(faults) == 2
    assert "is blocked" in faults[0]
    assert "template other" in faults[1]


@pytest.mark.parametrize("block", ["index.blocks.read_only_allow_delete", "index.blocks.write"])
def test_a_full_disk_is_waited_for(stage: ClusterStage, block: str) -> None:
    stage.load(stage.told.insert(1, name="one"))
    stage.node.call("PUT", f"/{INDEX}/_settings", {block: True})
    story = stage.told.update(1, name="uno")
    with pytest.raises(Retriable, match="block") as full:
        stage.load(story)
    assert full.value.patient
    assert "disk" in full.value.hint
    stage.node.call("PUT", f"/{INDEX}/_settings", {block: None})
    stage.load(story)
    assert stage.rows()[0]["name"] == "uno"


def test_a_conflict_with_the_mapping(stage: ClusterStage, tmp_path: Path) -> None:
    number, text = Column("size", Schema("int32", optional=True), int), Schema("string", optional=True)
    told = stage.told = Deliveries(tmp_path / "sized", columns=[*COLUMNS, number])
    first = told.insert(1, size=7)
    told.change_column("size", text)
    told.rows[1]["size"] = "7"
    stage.load(first, told.insert(2, size="secret"), told.insert(3, size="9"))
    assert stage.stored() == [1, 3]
    ((delivery, error),) = stage.rejected
    assert delivery.key == {"id": 2}
    assert "failed to parse field [size] of type [long]" in error.message
    assert "secret" not in error.message
    assert "tailrace rebuild" in error.hint


def test_a_topic_that_was_made_anew(stage: ClusterStage, tmp_path: Path) -> None:
    stage.load(*(stage.told.insert(number) for number in range(20)))
    stage.told = Deliveries(tmp_path / "anew")
    stage.told.timestamp_ms += 60_000
    with pytest.raises(Fatal, match="made anew") as refused:
        stage.load(stage.told.insert(19, name="of another log"))
    assert "tailrace rebuild" in refused.value.hint


def test_an_index_that_was_deleted(stage: ClusterStage) -> None:
    stage.load(stage.told.insert(1))
    with closing(stage.sink()) as sink:
        sink.open(TASK)
        sink.write(stage.told.insert(2))
        sink.commit(stage.told.position)
        stage.node.call("DELETE", f"/{INDEX}")
        sink.write(stage.told.insert(3))
        with pytest.raises(Fatal, match="was deleted"):
            sink.commit(stage.told.position)
    assert stage.hits() == []


def test_a_table_that_gets_another_key(stage: ClusterStage, tmp_path: Path) -> None:
    stage.load(stage.told.insert(1, name="one"))
    stage.told = Deliveries(tmp_path / "other", key=("id", "name"))
    with pytest.raises(Fatal, match="key was id, and is id, name"):
        stage.load(stage.told.insert(1, name="one"))


def test_an_index_that_has_the_name_of_the_alias(stage: ClusterStage) -> None:
    stage.node.call("PUT", f"/{TOPIC}")
    with pytest.raises(Fatal, match="there is an index of that name"):
        stage.load(stage.told.insert(1))


def test_a_moved_row_keeps_what_was_not_sent_over_a_crash_between_its_halves(stage: ClusterStage) -> None:
    told = stage.told
    stage.load(told.insert(1, name="one", note="long"))
    told.rows[1]["note"] = UNAVAILABLE
    delete, tombstone, create = told.move(1, 2)
    stage.load([delete, tombstone])
    assert stage.rows() == []
    stage.load([create])
    (row,) = stage.rows()
    assert (row["id"], row["note"]) == (2, "long")


def test_late_and_repeated_writes_change_nothing(stage: ClusterStage) -> None:
    told = stage.told
    old = told.insert(1, name="one")
    gone = told.insert(2, name="two")
    stage.load(old, gone, told.update(1, name="uno"), told.delete(2))
    stage.load(old, gone)
    (row,) = stage.rows()
    assert row["name"] == "uno"


def test_tables_without_a_key(opensearch: OpenSearchNode, tmp_path: Path) -> None:
    told = Deliveries(tmp_path, key=())
    story = [*told.insert(1, name="one"), *told.update(1, name="uno")]
    refusing = ClusterStage(opensearch, told)
    refusing.load(story)
    assert len(refusing.rejected) == 2
    stage = ClusterStage(opensearch, told, without_key="append")
    stage.load(story)
    stage.load(story)
    assert [(hit["_id"], hit["_source"]["__op"]) for hit in stage.hits()] == [("0-0", "c"), ("0-1", "u")]


@pytest.mark.parametrize(("choice", "left", "rejected"), [("ignore", [1, 2], 0), ("refuse", [1, 2], 1)])
def test_truncates_by_choice(
    opensearch: OpenSearchNode, tmp_path: Path, choice: str, left: list[int], rejected: int
) -> None:
    stage = stage_of(opensearch, tmp_path, truncate=choice)
    stage.load(stage.told.insert(1), stage.told.truncate(), stage.told.insert(2))
    assert stage.stored() == left
    assert len(stage.rejected) == rejected


def test_documents_too_big_for_one_request(stage: ClusterStage) -> None:
    told = stage.told
    stage.load(*(told.insert(number, note="x" * 400_000) for number in range(8)), told.insert(9, note="y" * 3_000_000))
    assert stage.stored() == list(range(8))
    ((_, error),) = stage.rejected
    assert "takes less" in error.message


def test_a_node_that_stands_still_is_waited_for(opensearch: OpenSearchNode, tmp_path: Path) -> None:
    stage = stage_of(opensearch, tmp_path, timeout=5.0)
    stage.load(stage.told.insert(1))
    story = stage.told.insert(2)
    with closing(stage.sink()) as sink:
        sink.open(TASK)
        opensearch.hold()
        try:
            with pytest.raises(Retriable, match="timed out") as silent:
                sink.write(story)
        finally:
            opensearch.go_on()
    assert silent.value.patient
    stage.settings["timeout"] = 60.0
    stage.load(story)
    assert stage.stored() == [1, 2]


def test_search(stage: ClusterStage) -> None:
    stage.load(stage.told.insert(1, name="red pear"), stage.told.insert(2, name="green pear"))
    stage.hits()  # refreshed
    hits = stage.sink().search("red AND pear")
    assert [(hit.topic, hit.id, hit.document["name"]) for hit in hits] == [(TOPIC, "1", "red pear")]
    assert stage.sink().search("pear", topics=["other"]) == []


def test_a_rebuild_beside_a_running_sink(stage: ClusterStage) -> None:
    told = stage.told
    first = [told.insert(1, name="one"), told.insert(2, name="two"), told.delete(2)]
    with closing(stage.sink()) as running:
        running.open(TASK)
        for each in first:
            running.write(each)
        running.commit(told.position)
        with closing(stage.sink().build()) as build:
            assert build.open(TASK) is None
            for each in first:
                build.write(each)
            build.commit(told.position)
        assert stage.stored() == [1]  # the old one serves
        update = told.update(1, name="uno")
        running.write(update)
        running.commit(told.position)
        assert stage.rows()[0]["name"] == "uno"
        with closing(stage.sink().build()) as build:  # goes on where it was
            assert build.open(TASK) == {f"{TOPIC}-0": 4}
            build.write(update)
            build.commit(told.position)
        done = stage.sink().switch(TASK)
        assert done == [f"{TOPIC} is {TOPIC}-000002", f"{INDEX} is deleted"]
        assert stage.rows()[0]["name"] == "uno"
        late = told.update(1, name="eins")
        running.write(late)
        with pytest.raises(Retriable, match="anew"):
            running.commit(told.position)
    with closing(stage.sink()) as again:
        assert again.open(TASK) == {f"{TOPIC}-0": 5}
        again.write(late)
        again.commit(told.position)
    assert stage.rows()[0]["name"] == "eins"
    with pytest.raises(Fatal, match="no indexes were built"):
        stage.sink().switch(TASK)


def test_several_writers_at_once_end_in_the_latest(stage: ClusterStage) -> None:
    """As when a task that was given up is still at it: versions decide, not who comes last."""
    told = stage.told
    story = [told.insert(1), *(told.update(1, name=f"name {number}") for number in range(40))]

    def write(part: int) -> None:
        with closing(stage.sink()) as sink:
            sink.open(f"{TASK}-{part}")
            for each in story[part::2]:
                sink.write(each)
                sink.commit(told.position)

    threads = [threading.Thread(target=write, args=(part,)) for part in (0, 1)]
    stage.load(story[0])
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stage.rows()[0]["name"] == "name 39"
