"""Values arrive exactly, or are refused; what goes wrong is said with its mend."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from itertools import chain
from pathlib import Path

import pytest

from databases.replica.places import DuckPlace, MysqlPlace, Place, PostgresPlace, ReplicaStage, SqlitePlace, sink_at
from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord, Fatal, Retriable
from tailrace.event import Column
from tailrace.schema import DECIMAL, UNAVAILABLE, VARIABLE_SCALE_DECIMAL, Field, Schema, Value
from tailrace.testing.deliveries import ID, Deliveries
from tailrace_replica.sink import ReplicaSink

TIME = "io.debezium.time."
VARIABLE = Schema(
    "struct", VARIABLE_SCALE_DECIMAL, 1, fields=(Field("scale", Schema("int32")), Field("value", Schema("bytes")))
)
LONG = Decimal("123456789012345678901234567890.123456789")

CASES: list[tuple[str, Schema, Value, dict[str, str]]] = [
    ("int", Schema("int64"), -(2**63), {"": "-9223372036854775808"}),
    ("text", Schema("string"), 'a\tb\\N\n"ü\'%s,=', {"": 'a\tb\\N\n"ü\'%s,='}),
    ("empty", Schema("string"), "", {"": ""}),
    ("zero", Schema("string"), "a\0b", {"postgres": "refused", "": "a\0b"}),
    ("price", Schema("bytes", DECIMAL, 1, {"scale": "2", "connect.decimal.precision": "20"}),
     Decimal("-123456789012345678.90"), {"": "-123456789012345678.90"}),
    ("number", VARIABLE, LONG, {"": str(LONG)}),
    ("nan", VARIABLE, Decimal("NaN"), {"": "NaN"}),
    ("octets", Schema("bytes"), b"\0\xff,\"",
     {"postgres": "\\x00ff2c22", "duckdb": "\\x00\\xFF,\\x22", "": "00ff2c22"}),
    ("day", Schema("int32", f"{TIME}Date", 1), 19_904, {"": "2024-06-30"}),
    ("before", Schema("int32", f"{TIME}Date", 1), -735_160,
     {"mysql": "refused", "duckdb": "0044-03-15 (BC)", "": "0044-03-15 BC"}),
    ("moment", Schema("int64", f"{TIME}MicroTimestamp", 1), 1_719_741_600_123_456, {"": "2024-06-30 10:00:00.123456"}),
    ("never", Schema("int64", f"{TIME}MicroTimestamp", 1), 9_223_372_036_825_200_000,
     {"mysql": "refused", "": "infinity"}),
    ("zoned", Schema("string", f"{TIME}ZonedTimestamp", 1), "2024-06-30T10:00:00.12Z",
     {"sqlite": "2024-06-30T10:00:00.12Z", "mysql": "2024-06-30 10:00:00.120000", "": "2024-06-30 10:00:00.12+00"}),
    ("long", Schema("int64", f"{TIME}MicroTime", 1), -3_600_000_000,
     {"postgres": "refused", "duckdb": "refused", "mysql": "-1 day, 23:00:00", "": "-01:00:00"}),
    ("float", Schema("float64"), 0.1, {"": "0.1"}),
    ("lost", Schema("float64"), float("nan"), {"sqlite": "refused", "mysql": "refused", "postgres": "NaN", "": "nan"}),
    ("list", Schema("array", items=Schema("string", optional=True)), ['a"b', None, "NULL"],
     {"postgres": '{"a\\"b",NULL,"NULL"}', "duckdb": "", "": '["a\\"b",null,"NULL"]'}),
]  # fmt: skip


def noting(refused: list[BadRecord]) -> Callable[[Delivery, BadRecord], None]:
    return lambda _, error: refused.append(error)


def kind_of(place: Place) -> str:
    names = {PostgresPlace: "postgres", MysqlPlace: "mysql", SqlitePlace: "sqlite", DuckPlace: "duckdb"}
    return names[type(place)]


def shown(place: Place, column: str, table: str) -> str:
    texts = {"postgres": f'"{column}"::text', "duckdb": f'"{column}"::VARCHAR', "mysql": f'"{column}"'}
    [[value]] = place.query(f"SELECT {texts.get(kind_of(place), column)} FROM {table}")
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def test_values_are_exact_or_refused(place: Place, tmp_path: Path) -> None:
    wrong = []
    for name, schema, value, expected in CASES:
        told = Deliveries(
            tmp_path, topic=f"shop.public.t_{name}", columns=[ID, Column("value", schema.as_optional(), bytes.decode)]
        )
        refused: list[BadRecord] = []
        sink = sink_at(place)
        sink.reject_with(noting(refused))
        with closing(sink):
            sink.open(name)
            sink.write(told.insert(1, value=value))
            sink.commit(told.position)
            for _ in range(2):  # what comes after an update may be written in another way
                sink.write(told.update(1, value=value))
                sink.commit(told.position)
        schema_name = "" if kind_of(place) in {"sqlite", "mysql"} else '"public".'
        due = expected.get(kind_of(place), expected[""])
        found = "refused" if refused else shown(place, "value", f'{schema_name}"t_{name}"')
        if due and found.removesuffix("000") != due and found != due:
            wrong.append(f"{name}: {found!r}, not {due!r}")
    assert not wrong, "\n".join(wrong)


def opened(stage: ReplicaStage) -> list[int]:
    with closing(stage.sink()) as sink:
        sink.open("contract")
        sink.write(stage.told.insert(1, name="one"))
        sink.commit(stage.told.position)
    return stage.stored()


def test_a_type_at_odds_stops_the_sink_and_names_the_column(place: Place, stage: ReplicaStage) -> None:
    assert opened(stage) == [1]
    stage.told.change_column("name", Schema("bytes", optional=True))
    with closing(stage.sink()) as sink:
        sink.open("contract")
        with pytest.raises(Fatal, match="column name") as caught:
            sink.write(stage.told.insert(2, name=b"x"))
            sink.commit(stage.told.position)
    assert "reset the sink" in caught.value.hint


def test_a_zombie_is_fenced_off(place: Place, stage: ReplicaStage) -> None:
    """Its lock is gone without its notice; the successor has come."""
    zombie = stage.sink()
    zombie.open("contract")
    zombie.write(stage.told.insert(1))
    if isinstance(place, (SqlitePlace, DuckPlace)):
        # A file's lock is the kernel's: it goes with its process alone, so there is none that lost it.
        with closing(zombie), pytest.raises(Retriable, match="another process"):
            stage.sink().open("contract")
        return
    place.query("UPDATE tailrace_replica SET epoch = epoch + 1")
    with closing(zombie), pytest.raises(Retriable, match="another writer"):
        zombie.commit(stage.told.position)
    assert stage.stored() == []


def test_who_seizes_the_place_ends_whoever_has_it(place: Place, stage: ReplicaStage) -> None:
    zombie, successor = stage.sink(), stage.sink()
    successor.seize()
    zombie.open("contract")
    zombie.write(stage.told.insert(1))
    zombie.commit(stage.told.position)
    first, second = stage.told.position, stage.told.insert(2)
    zombie.write(second)
    with closing(zombie), closing(successor):
        if isinstance(place, (SqlitePlace, DuckPlace)):
            with pytest.raises(Retriable, match="another process"):
                successor.open("contract")
            return
        assert successor.open("contract") == first
        with pytest.raises(Retriable):
            zombie.commit(stage.told.position)
        assert stage.stored() == [1]
        successor.write(second)
        successor.commit(stage.told.position)
    assert stage.stored() == [1, 2]


def test_updates_of_a_table_without_a_key_are_refused(place: Place, tmp_path: Path) -> None:
    stage = ReplicaStage(place, tmp_path)
    stage.told = Deliveries(tmp_path, key=())
    refused: list[BadRecord] = []
    sink = stage.sink()
    sink.reject_with(noting(refused))
    with closing(sink):
        sink.open("contract")
        sink.write([*stage.told.insert(1), *stage.told.insert(1), *stage.told.update(1, name="x")])
        sink.commit(stage.told.position)
    assert stage.stored() == [1, 1]
    [error] = refused
    assert "has no key, and its rows cannot be told apart: update refused" in error.message


def test_a_key_that_changes_takes_along_what_was_not_sent(place: Place, stage: ReplicaStage) -> None:
    """A large value is not sent when only the key changes; the halves of the move may come in two commits."""
    told = stage.told
    first, moved = told.insert(1, name="one", note="large"), told.move(1, 2, note=UNAVAILABLE)
    other = told.insert(3, name="three", note="also large")
    for items in (first, moved[:1], [*moved[1:], *other, *told.move(3, 4, note=UNAVAILABLE)]):
        with closing(stage.sink()) as sink:
            sink.open("contract")
            sink.write(items)
            sink.commit(told.position)
    found = [(row["id"], row["name"], row["note"]) for row in stage.rows()]
    assert found == [(2, "one", "large"), (4, "three", "also large")]


@pytest.mark.parametrize("commits", [1, 4])
def test_a_key_that_changed_and_went_stays_gone_whichever_half_comes_first(
    place: Place, stage: ReplicaStage, commits: int
) -> None:
    """In topics of several partitions the old key's half may come when the row of the new key has gone again."""
    told = stage.told
    first, moved, gone = told.insert(1, name="one"), told.move(1, 2), told.delete(2)
    other = told.insert(3, name="three")
    parts = [first, moved[2:], gone, [*moved[:2], *other]]
    for items in parts if commits > 1 else [list(chain(*parts))]:
        with closing(stage.sink()) as sink:
            sink.open("contract")
            sink.write(items)
            sink.commit(told.position)
    assert [row["id"] for row in stage.rows()] == [3]
    with closing(stage.sink()) as sink:
        sink.open("contract")
        sink.write(told.move(3, 1, note=UNAVAILABLE))
        sink.commit(told.position)
    assert [(row["id"], row["name"]) for row in stage.rows()] == [(1, "three")]
    assert place.query("SELECT mark FROM tailrace_replica_moves") == []


def test_two_sinks_of_one_database_move_their_rows_each(place: Place, stage: ReplicaStage) -> None:
    told = stage.told
    parts = [told.insert(1, name="one", note="large"), told.move(1, 2, note=UNAVAILABLE)]
    for items in parts:
        for name, table in (("contract", None), ("other", "{schema}_{table}_too")):
            with closing(stage.sink(**({} if table is None else {"table": table}))) as sink:
                sink.open(name)
                sink.write(items)
                sink.commit(told.position)
    assert [(row["id"], row["note"]) for row in stage.rows()] == [(2, "large")]
    assert place.query("SELECT id, note FROM public_items_too") == [(2, "large")]


def test_positions_are_told_and_set(place: Place, stage: ReplicaStage) -> None:
    sink = stage.sink()
    assert sink.position("contract") is None
    assert opened(stage) == [1]
    assert stage.sink().position("contract") == stage.told.position
    stage.sink().set_position("contract", {"contract.public.items-0": 0})
    with closing(stage.sink()) as again:
        assert again.open("contract") == {"contract.public.items-0": 0}
        with pytest.raises(Retriable, match="another process"):
            stage.sink().set_position("contract", None)
    stage.sink().set_position("contract", None)
    assert stage.sink().position("contract") is None


def test_checks_find_a_place_in_order(place: Place, stage: ReplicaStage) -> None:
    findings = stage.sink().check()
    assert findings
    assert all(finding.ok for finding in findings), findings


def test_a_dropped_column_goes_where_that_is_asked(place: Place, stage: ReplicaStage) -> None:
    assert opened(stage) == [1]
    stage.told.drop_column("note")
    with closing(stage.sink(dropped_columns="drop")) as sink:
        sink.open("contract")
        sink.write(stage.told.insert(2))
        sink.commit(stage.told.position)
    assert all("note" not in row for row in stage.rows())


def test_no_server_is_waited_for_and_a_wrong_password_is_not(place: Place) -> None:
    if isinstance(place, PostgresPlace):
        place.url = "postgresql://postgres@127.0.0.1:1/replica"
    elif isinstance(place, MysqlPlace):
        url = place.url
        place.url = url.replace(url.rpartition("@127.0.0.1:")[2].partition("/")[0], "1")
        with pytest.raises(Fatal, match="1045") as wrong:
            place_with_password(url).open("contract")
        assert "password" in wrong.value.hint
    else:
        place.url = f"{kind_of(place)}:/proc/nowhere/replica"
        with pytest.raises(Fatal, match="cannot lock") as nowhere:
            sink_at(place).open("contract")
        assert "right to write to /proc/nowhere" in nowhere.value.hint
        return
    with pytest.raises(Retriable) as away:
        sink_at(place).open("contract")
    assert away.value.patient
    assert away.value.hint


def place_with_password(url: str) -> ReplicaSink:
    """Return a sink whose password is wrong."""
    scheme, _, rest = url.partition("://")
    wrong = SqlitePlace(Path())
    wrong.url = f"{scheme}://tailrace:wrong@{rest.rpartition('@')[2]}"
    return sink_at(wrong)


@pytest.mark.parametrize("place", ["pg15", "pg18"], indirect=True)
def test_a_table_of_somebody_elses_needs_an_index_on_its_key(stage: ReplicaStage, place: Place) -> None:
    place.query("CREATE TABLE public.items (id bigint, name text, price numeric(12,2), note text)")
    with closing(stage.sink()) as sink, pytest.raises(Fatal, match=r"no unique index on its key \(id\)") as lacking:
        sink.open("contract")
        sink.write(stage.told.insert(1))
        sink.commit(stage.told.position)
    assert "ADD PRIMARY KEY (id)" in lacking.value.hint
    place.query("ALTER TABLE public.items ADD PRIMARY KEY (id)")
    with closing(stage.sink()) as sink:
        sink.open("contract")
        sink.write(stage.told.insert(2))
        sink.commit(stage.told.position)
    assert stage.stored() == [2]


@pytest.mark.parametrize("place", ["pg15"], indirect=True)
def test_what_the_server_says_late_names_the_table_that_it_is_of(
    stage: ReplicaStage, place: Place, tmp_path: Path
) -> None:
    """The answer about one table's rows comes when the next table is worked on."""
    place.query(
        "CREATE TABLE public.items (id bigint PRIMARY KEY, name text, price numeric(12,2), "
        "note text CHECK (note <> 'wrong'))"
    )
    other = Deliveries(tmp_path, topic="contract.public.others")
    with closing(stage.sink()) as sink, pytest.raises(Fatal, match=r"write to table public\.items: ") as broken:
        sink.open("contract")
        sink.write([*stage.told.insert(1, note="wrong"), *other.insert(1)])
        sink.commit(stage.told.position)
    assert "constraints of its own" in broken.value.hint
