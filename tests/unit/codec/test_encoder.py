"""Changes become Debezium's records: which ones, with which keys, headers and rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from tailrace.codec.avro_schema import avro_schema
from tailrace.codec.decoder import Decoder
from tailrace.codec.encoder import ChangeEncoder
from tailrace.codec.envelope import HEARTBEAT_KEY, HEARTBEAT_VALUE, envelope_schema
from tailrace.codec.registry_store import BundledRegistry
from tailrace.errors import BadRecord, Fatal
from tailrace.event import Change, Event, Message, Record, Table
from tailrace.schema import UNAVAILABLE, Schema, Value
from unit.codec.shop import (
    EMAIL,
    ID,
    NOW_NS,
    PRICE,
    SOURCE_VALUES,
    VARIABLE,
    Anywhere,
    boolean,
    change,
    column,
    config,
    decimal,
    table,
    wire,
)

USERS = table()
NOTE = column("note", Schema("string", optional=True), placeholder="__debezium_unavailable_value")


@pytest.fixture
def registry(tmp_path: Path) -> BundledRegistry:
    return BundledRegistry(tmp_path / "registry")


@pytest.fixture(params=["avro", "json", "json_schema"])
def shop(request: pytest.FixtureRequest, registry: BundledRegistry) -> Shop:
    return Shop(registry, format=request.param)


class Shop:
    """An encoder with its registry and decoder."""

    def __init__(self, registry: BundledRegistry, **settings: object) -> None:
        self.encoder = ChangeEncoder(registry, config(**settings), clock=lambda: NOW_NS)
        self.decoder = Decoder(registry)

    def records(self, *events: Event) -> list[Record]:
        return list(self.encoder.encode(events))

    def key(self, record: Record) -> object:
        return self.decoder.plain(record.key)

    def value(self, record: Record) -> dict[str, object]:
        value = self.decoder.plain(record.value)
        assert isinstance(value, dict)
        return dict(value)

    def one(self, event: Event) -> dict[str, object]:
        (record,) = self.records(event)
        return self.value(record)


def test_create(shop: Shop) -> None:
    (record,) = shop.records(change(USERS, "c", None, wire(7, "a@b.c")))
    assert (record.topic, record.timestamp_ms, record.headers) == ("shop.public.users", NOW_NS // 10**6, ())
    assert shop.key(record) == {"id": 7}
    names = [field.name for field in USERS.source.fields]
    expected: dict[str, object] = {
        "before": None,
        "after": {"id": 7, "email": "a@b.c"},
        "source": dict(zip(names, SOURCE_VALUES, strict=True)),
        "transaction": None,
        "op": "c",
        "ts_ms": NOW_NS // 10**6,
        "ts_us": NOW_NS // 10**3,
        "ts_ns": NOW_NS,
    }
    assert shop.value(record) == expected


def test_snapshot_row(shop: Shop) -> None:
    assert shop.one(change(USERS, "r", None, wire(7, "a")))["op"] == "r"


def test_update_with_the_row_before(shop: Shop) -> None:
    value = shop.one(change(USERS, "u", wire(7, "a"), wire(7, "b")))
    assert (value["op"], value["before"], value["after"]) == ("u", {"id": 7, "email": "a"}, {"id": 7, "email": "b"})


def test_update_without_the_row_before(shop: Shop) -> None:
    value = shop.one(change(USERS, "u", None, wire(7, "b")))
    assert (value["before"], value["after"]) == (None, {"id": 7, "email": "b"})


def test_delete_and_its_tombstone(shop: Shop) -> None:
    deleted, tombstone = shop.records(change(USERS, "d", wire(7, "a"), None))
    value = shop.value(deleted)
    assert (value["op"], value["before"], value["after"]) == ("d", {"id": 7, "email": "a"}, None)
    assert tombstone.value is None
    assert tombstone.key == deleted.key
    assert shop.key(tombstone) == {"id": 7}


def test_tombstones_can_be_left_out(registry: BundledRegistry) -> None:
    (deleted,) = Shop(registry, tombstones=False).records(change(USERS, "d", wire(7, "a"), None))
    assert deleted.value is not None


def test_what_a_delete_does_not_hold_is_null_or_a_zero_or_the_default(shop: Shop) -> None:
    of = table(
        ID,
        column("text", Schema("string")),
        column("maybe", Schema("string", optional=True, default="x")),
        column("price", PRICE, decimal),
        column("amount", VARIABLE, decimal),
        column("on", Schema("boolean"), boolean),
        column("at", Schema("string", "io.debezium.time.ZonedTimestamp", 1)),
        column("tags", Schema("array", items=Schema("string", optional=True))),
        column("size", Schema("int16", default=42), int),
    )
    deleted, _ = shop.records(change(of, "d", wire(7, *[None] * 8), None))
    before = shop.value(deleted)["before"]
    assert isinstance(before, dict)
    if shop.encoder._config.format == "json":  # without a schema nothing says that these are decimals
        assert (before.pop("price"), before.pop("amount")) == ("AA==", {"scale": 0, "value": "AA=="})
        before |= {"price": "0.00", "amount": "0"}
    assert before == {
        "id": 7, "text": "", "maybe": None, "price": "0.00", "amount": "0", "on": False,
        "at": "1970-01-01T00:00:00Z", "tags": [], "size": 42,
    }  # fmt: skip
    assert deleted.headers == ()


def test_a_row_that_moved_to_another_key(shop: Shop) -> None:
    deleted, tombstone, created = shop.records(change(USERS, "u", wire(7, None), wire(8, "a"), moved=True))
    assert [shop.key(record) for record in (deleted, tombstone, created)] == [{"id": 7}, {"id": 7}, {"id": 8}]
    assert [shop.value(record)["op"] for record in (deleted, created)] == ["d", "c"]
    assert tombstone.value is None
    assert deleted.headers == tombstone.headers == (("__debezium.newkey", b'{"id":8}'),)
    assert created.headers == (("__debezium.oldkey", b'{"id":7}'),)
    assert shop.value(created)["before"] is None
    assert shop.value(created)["after"] == {"id": 8, "email": "a"}
    assert shop.value(deleted)["before"] == {"id": 7, "email": ""}


def test_truncate(shop: Shop) -> None:
    (record,) = shop.records(change(USERS, "t", None, None))
    value = shop.value(record)
    assert (record.key, value["op"], value["before"], value["after"]) == (None, "t", None, None)


def test_a_table_without_a_key(shop: Shop) -> None:
    of = table(key=())
    created, deleted = shop.records(change(of, "c", None, wire(1, "a")), change(of, "d", wire(1, "a"), None))
    assert created.key is None
    assert deleted.key is None
    assert deleted.value is not None


def test_composite_keys_stand_in_key_order(shop: Shop) -> None:
    of = table(ID, EMAIL, key=(1, 0))
    (record,) = shop.records(change(of, "c", None, wire(7, "a")))
    key = shop.key(record)
    assert isinstance(key, dict)
    assert list(key.items()) == [("email", "a"), ("id", 7)]


def test_a_value_that_was_not_sent_is_a_placeholder_and_named_in_a_header(shop: Shop) -> None:
    of = table(ID, NOTE, column("big", VARIABLE.as_optional(), decimal))
    (record,) = shop.records(change(of, "u", None, wire(7, UNAVAILABLE, UNAVAILABLE)))
    assert shop.value(record)["after"] == {"id": 7, "note": "__debezium_unavailable_value", "big": None}
    assert record.headers == (("__tailrace.unavailable", b'["note","big"]'),)


def test_a_value_that_was_not_sent_is_taken_from_the_row_before_where_it_is_there(shop: Shop) -> None:
    of = table(ID, NOTE)
    (record,) = shop.records(change(of, "u", wire(7, "long text"), wire(7, UNAVAILABLE)))
    assert shop.value(record)["after"] == {"id": 7, "note": "long text"}
    assert record.headers == ()
    (key_only,) = shop.records(change(of, "u", wire(7, None), wire(7, UNAVAILABLE)))
    assert key_only.headers == (("__tailrace.unavailable", b'["note"]'),)


def test_a_key_that_was_not_sent_is_taken_from_the_row_before(shop: Shop) -> None:
    of = table(ID, EMAIL, key=(1,))
    (record,) = shop.records(change(of, "u", wire(None, "long key"), wire(7, UNAVAILABLE)))
    assert shop.key(record) == {"email": "long key"}


def test_a_key_that_is_nowhere_to_be_had_is_refused(shop: Shop) -> None:
    of = table(ID, EMAIL, key=(1,))
    with pytest.raises(BadRecord, match="no value for key column email"):
        shop.records(change(of, "u", None, wire(7, UNAVAILABLE)))


@pytest.mark.parametrize("moved", [False, True])
def test_a_delete_without_its_key_is_refused_rather_than_given_another_key(shop: Shop, *, moved: bool) -> None:
    event = change(USERS, "u" if moved else "d", wire(None, "a"), wire(8, "a") if moved else None, moved=moved)
    with pytest.raises(BadRecord, match="no value for key column id"):
        shop.records(event)


def test_null_in_a_required_column_is_named_in_a_header(shop: Shop) -> None:
    (record,) = shop.records(change(USERS, "c", None, wire(7, None)))
    assert shop.value(record)["after"] == {"id": 7, "email": ""}
    assert record.headers == (("__tailrace.defaulted", b'["email"]'),)


def test_null_stays_null_where_the_column_has_a_default(shop: Shop) -> None:
    of = table(ID, column("n", Schema("int32", optional=True, default=42), int))
    assert shop.one(change(of, "c", None, wire(7, None)))["after"] == {"id": 7, "n": None}


def test_rows_that_a_transform_gave(shop: Shop) -> None:
    created = change(USERS, "c", None, wire(7, "a")).with_rows(None, {"email": "x", "id": 9})
    (record,) = shop.records(created)
    assert shop.key(record) == {"id": 9}
    assert shop.value(record)["after"] == {"id": 9, "email": "x"}
    moved = change(USERS, "u", wire(7, "a"), wire(8, "a"), moved=True)
    rows: dict[str, Value] = {"id": 8, "email": UNAVAILABLE}
    records = shop.records(moved.with_rows({"id": 7, "email": "old"}, rows))
    assert shop.value(records[2])["after"] == {"id": 8, "email": "old"}
    deleted, _ = shop.records(change(USERS, "d", wire(7, "a"), None).with_rows({"id": 7, "email": "x"}, None))
    assert shop.value(deleted)["before"] == {"id": 7, "email": "x"}


def test_a_row_of_a_transform_that_lacks_a_column_is_refused(shop: Shop) -> None:
    with pytest.raises(BadRecord, match="lacks column email"):
        shop.records(change(USERS, "c", None, wire(7, "a")).with_rows(None, {"id": 9}))


def test_a_change_that_was_only_looked_at_is_encoded_from_its_wire_form(shop: Shop) -> None:
    event = change(USERS, "c", None, wire(7, "a"))
    assert event.after == {"id": 7, "email": "a"}
    assert shop.one(event)["after"] == {"id": 7, "email": "a"}


@pytest.mark.parametrize(
    ("schema", "decode", "cell"),
    [
        (Schema("int16"), int, "40000"),
        (Schema("int32"), int, str(2**31)),
        (Schema("int64"), int, str(2**63)),
        (Schema("int64", optional=True), int, str(-(2**63) - 1)),
        (PRICE, decimal, "1.005"),
        (PRICE, decimal, "Infinity"),
        (Schema("boolean"), text_of := (lambda cell: cell.decode()), "secret"),
        (Schema("int32"), text_of, "secret"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_not_quoted(
    shop: Shop, schema: Schema, decode: object, cell: str
) -> None:
    of = table(ID, column("odd", schema, decode))  # type: ignore[arg-type]
    with pytest.raises(BadRecord, match=r"public\.users column odd") as caught:
        shop.records(change(of, "c", None, wire(7, cell)))
    assert cell not in str(caught.value)
    assert "event 0 of 1" in str(caught.value)


def test_a_row_with_another_number_of_cells_is_refused(shop: Shop) -> None:
    with pytest.raises(BadRecord, match="has 1 cells for 2 columns"):
        shop.records(change(USERS, "c", None, wire(7)))


def test_bad_events_can_be_replaced_in_place(shop: Shop) -> None:
    seen: list[tuple[Event, str]] = []

    def on_bad(event: Event, error: BadRecord) -> Sequence[Record]:
        seen.append((event, error.message))
        return [Record("dead", None, b"!", 0)]

    bad = change(USERS, "c", None, wire(2**40, "a"))
    good = change(USERS, "c", None, wire(1, "a"))
    records = shop.encoder.encode([good, bad, good], on_bad=on_bad)
    assert [record.topic for record in records] == ["shop.public.users", "dead", "shop.public.users"]
    assert [event for event, _ in seen] == [bad]
    assert "event 1 of 3" in seen[0][1]


def test_a_source_block_that_does_not_fit_is_refused(shop: Shop) -> None:
    for values in (("x",), (*SOURCE_VALUES[:11], "seven", *SOURCE_VALUES[12:])):
        with pytest.raises(BadRecord, match="source block"):
            shop.records(Change(USERS, "c", None, wire(7, "a"), origin=Anywhere(values)))


def test_messages(shop: Shop) -> None:
    beat = Message("__debezium-heartbeat.shop", HEARTBEAT_KEY, {"serverName": "shop"}, HEARTBEAT_VALUE, {"ts_ms": 5})
    record, again = shop.records(beat, beat)
    assert shop.key(record) == {"serverName": "shop"}
    assert shop.value(record) == {"ts_ms": 5}
    assert (record.topic, record.key, record.value) == (again.topic, again.key, again.value)
    other = Message(beat.topic, HEARTBEAT_KEY, {"serverName": "shop"}, HEARTBEAT_VALUE, {"ts_ms": 2**63})
    with pytest.raises(BadRecord, match=r"__debezium-heartbeat\.shop"):
        shop.records(other)


def test_schemas_are_registered_once_under_the_topics_subjects(registry: BundledRegistry) -> None:
    Shop(registry).records(change(USERS, "c", None, wire(7, "a")))
    Shop(registry).records(change(table(), "c", None, wire(7, "a")))
    assert registry.subjects() == ["shop.public.users-key", "shop.public.users-value"]
    (version,) = registry.versions("shop.public.users-value")
    assert version.schema == json.loads(json.dumps(avro_schema(envelope_schema(USERS))))


def test_json_needs_no_registry(registry: BundledRegistry) -> None:
    Shop(registry, format="json").records(change(USERS, "c", None, wire(7, "a")))
    assert registry.subjects() == []


def widened() -> Table:
    return table(ID, EMAIL, column("age", Schema("int32"), int))


def test_an_incompatible_schema_is_registered_and_warned_about(registry: BundledRegistry) -> None:
    shop = Shop(registry)
    shop.records(change(USERS, "c", None, wire(7, "a")))
    (record,) = shop.records(change(widened(), "c", None, wire(7, "a", 5)))
    assert shop.value(record)["after"] == {"id": 7, "email": "a", "age": 5}
    (warning,) = shop.encoder.warnings
    assert "shop.public.users-value version 2" in warning
    assert "after.age: added without a default" in warning
    restarted = Shop(registry)
    restarted.records(change(widened(), "c", None, wire(7, "a", 5)))
    assert restarted.encoder.warnings == [warning]
    assert len(registry.versions("shop.public.users-value")) == 2


def test_an_incompatible_schema_can_stop_the_connector(registry: BundledRegistry) -> None:
    shop = Shop(registry, on_incompatible_schema="stop")
    shop.records(change(USERS, "c", None, wire(7, "a")))
    with pytest.raises(Fatal, match=r"after\.age: added without a default") as caught:
        shop.records(change(widened(), "c", None, wire(7, "a", 5)))
    assert "on_incompatible_schema: register" in caught.value.hint
    assert len(registry.versions("shop.public.users-value")) == 1


def test_decimals_come_back_exactly(shop: Shop, registry: BundledRegistry) -> None:
    of = table(ID, column("price", PRICE, decimal), column("amount", VARIABLE, decimal))
    digits = "12345678901234567890123456789012345678901234567890.5"
    (record,) = shop.records(change(of, "c", None, wire(7, "123456.70", digits)))
    after = shop.value(record)["after"]
    if shop.encoder._config.format == "json":
        return  # without a schema nothing says that it is a decimal
    assert after == {"id": 7, "price": "123456.70", "amount": digits}
    exact = Decoder(registry).value(record.value)
    assert isinstance(exact, dict)
    assert exact["after"]["price"] == Decimal("123456.70")


@pytest.mark.parametrize("special", ["NaN", "Infinity", "-Infinity"])
def test_special_decimals_are_named_in_a_header(shop: Shop, special: str) -> None:
    of = table(
        ID,
        column("amount", VARIABLE, decimal),
        column("amounts", Schema("array", items=VARIABLE.as_optional()), lambda cell: [None, decimal(cell)]),
        column("fine", PRICE, decimal),
    )
    event = change(of, "c", None, wire(7, special, special, "1.00"))
    (record,) = shop.records(event)
    assert record.headers == (("__tailrace.special", b'["amount","amounts"]'),)
    (touched,) = shop.records(event.with_rows(None, event.after))
    assert (touched.headers, touched.value) == (record.headers, record.value)
    (finite,) = shop.records(change(of, "c", None, wire(7, "1", "2", "1.00")))
    assert finite.headers == ()


def test_each_half_of_a_move_tells_of_its_own_row(shop: Shop) -> None:
    of = table(ID, column("amount", VARIABLE, decimal), NOTE)
    deleted, _, created = shop.records(change(of, "u", wire(7, "NaN", None), wire(8, "1", UNAVAILABLE), moved=True))
    assert deleted.headers[1:] == (("__tailrace.special", b'["amount"]'),)
    assert created.headers[1:] == (("__tailrace.unavailable", b'["note"]'),)


def test_headers_name_the_fields_and_not_the_columns(shop: Shop) -> None:
    of = table(ID, column("long note", Schema("string", optional=True), placeholder="?"))
    (record,) = shop.records(change(of, "u", None, wire(7, UNAVAILABLE)))
    assert shop.value(record)["after"] == {"id": 7, "long_note": "?"}
    assert record.headers == (("__tailrace.unavailable", b'["long_note"]'),)
    moved = table(column("the id", Schema("int32"), int), EMAIL)
    deleted, _, _ = shop.records(change(moved, "u", wire(7, "a"), wire(8, "a"), moved=True))
    assert deleted.headers == (("__debezium.newkey", b'{"the_id":8}'),)


def test_plans_of_old_versions_are_forgotten(shop: Shop) -> None:
    versions = [table() for _ in range(20)]
    for version in (*versions, versions[0]):
        assert shop.one(change(version, "c", None, wire(7, "a")))["after"] == {"id": 7, "email": "a"}
    assert len(shop.encoder._plans) == 4
