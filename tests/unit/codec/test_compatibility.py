"""What breaks readers is found, named by field and reason; Confluent's registry says the same of thousands of pairs."""

from __future__ import annotations

import pytest

from tailrace.codec.avro_schema import avro_schema
from tailrace.codec.compatibility import problems, unreadable
from tailrace.codec.envelope import envelope_schema
from tailrace.codec.registry import AvroSchema
from tailrace.event import Column
from tailrace.schema import Schema
from unit.codec.compatibility.pairs import PAIRS, answers, pairs
from unit.codec.shop import EMAIL, ID, PRICE, column, decimal, table


def test_confluents_registry_agrees() -> None:
    judged = list(zip(pairs(), answers(), strict=True))
    assert len(judged) == PAIRS
    assert 0.2 < sum(answer for _, answer in judged) / PAIRS < 0.8
    differ = [pair for pair, readable in judged if readable == bool(unreadable(*pair))]
    assert differ == []


def users(*columns: Column) -> AvroSchema:
    return avro_schema(envelope_schema(table(ID, EMAIL, *columns)))


AGE = column("age", Schema("int32"), int)
NICK = column("nick", Schema("string", optional=True))


@pytest.mark.parametrize(
    ("new", "old", "said"),
    [
        (users(AGE), users(), ["before.age: added without a default", "after.age: added without a default"]),
        (users(NICK), users(), []),
        (users(), users(AGE), []),
        (
            users(column("age", Schema("string"))),
            users(AGE),
            ["before.age: changed from int to string", "after.age: changed from int to string"],
        ),
        (users(column("age", Schema("int64"), int)), users(AGE), []),
        (
            users(column("nick", Schema("string"))),
            users(NICK),
            ["before.nick: changed from null to string", "after.nick: changed from null to string"],
        ),
    ],
)
def test_what_a_new_table_breaks(new: AvroSchema, old: AvroSchema, said: list[str]) -> None:
    assert problems(new, [old], "BACKWARD") == said
    assert problems(new, [old], "NONE") == []


def test_forward_asks_the_other_way_round() -> None:
    assert problems(users(AGE), [users()], "FORWARD") == []
    (before, _) = problems(users(), [users(AGE)], "FORWARD")
    assert before == "for readers of the version before: before.age: added without a default"
    assert problems(users(NICK), [users()], "FULL") == []
    assert problems(users(AGE), [users()], "FULL")


def test_another_scale_is_another_number() -> None:
    old = users(column("price", PRICE, decimal))
    new = users(column("price", Schema("bytes", PRICE.name, 1, {"scale": "3"}), decimal))
    assert "after.price: decimal scale changed from 2 to 3" in problems(new, [old], "BACKWARD")


def test_removed_enum_symbols_and_sizes_are_named() -> None:
    def record(of: AvroSchema) -> AvroSchema:
        return {"type": "record", "name": "R", "fields": [{"name": "f", "type": of}]}

    two = record({"type": "enum", "name": "E", "symbols": ["A", "B"]})
    one = record({"type": "enum", "name": "E", "symbols": ["A"]})
    assert unreadable(one, two) == ["f: enum symbol B removed"]
    assert unreadable(two, one) == []
    assert unreadable(
        record({"type": "fixed", "name": "F", "size": 2}), record({"type": "fixed", "name": "F", "size": 3})
    ) == ["f: size changed from 3 to 2"]
    assert unreadable(record({"type": "array", "items": "int"}), record({"type": "array", "items": "string"})) == [
        "f[]: changed from string to int"
    ]
    assert unreadable(["null", "int"], ["null", "int", "string"]) == ["schema: type string is no longer allowed"]


def test_a_record_that_holds_itself_ends() -> None:
    def node(of: str) -> AvroSchema:
        fields = [{"name": "v", "type": of}, {"name": "next", "type": ["null", "Node"]}]
        return {"type": "record", "name": "Node", "fields": fields}

    assert unreadable(node("long"), node("int")) == []
    assert unreadable(node("int"), node("long")) == ["v: changed from long to int"]
