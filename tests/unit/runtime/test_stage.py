"""Transforms, and what becomes of events that cannot be encoded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pytest

from tailrace.codec.encoder import ChangeEncoder
from tailrace.codec.projection import Projection
from tailrace.columns import ColumnRules
from tailrace.errors import BadRecord
from tailrace.event import Cell, Change, Column, Table
from tailrace.log.store.backend import BundledLog
from tailrace.runtime.stage import BadRecords, ChangeStage
from tailrace.schema import Field, Schema, Value
from tailrace.source import SourceConfig

ID = Schema("int32")
SOURCE = Schema("struct", name="x.Source", fields=(Field("ts_ms", Schema("int64")),))


class Comma:
    def cells(self, wire: bytes) -> Sequence[Cell]:
        return wire.split(b",")


class Padded:
    """Rows of three columns and one more that nobody may see."""

    def cells(self, wire: bytes) -> Sequence[Cell]:
        cells = [*wire.split(b","), b"secret"]
        if len(cells) != 4:
            raise BadRecord("not three columns")
        return cells


class Here:
    def source_block(self, change: Change) -> Sequence[Value]:
        return [7]


def decode(cell: bytes) -> int:
    if not cell.isdigit():
        raise BadRecord("not a number")
    return int(cell)


TABLE = Table(
    "public.t",
    "shop.public.t",
    (Column("id", ID, decode), Column("n", ID, decode)),
    (0,),
    Comma(),
    SOURCE,
)


def change(row: bytes) -> Change:
    return Change(TABLE, "c", None, row, origin=Here())


@pytest.fixture
def encoder(tmp_path: object) -> ChangeEncoder:
    log = BundledLog.at(tmp_path)  # type: ignore[arg-type]
    return ChangeEncoder(log.registry(), SourceConfig(type="x", topic_prefix="shop", format="json"))


def stage_of(
    encoder: ChangeEncoder, policy: Literal["fail", "skip", "dead_letter"], *transforms: object
) -> tuple[ChangeStage, BadRecords]:
    bad = BadRecords("shop", policy, "shop.dead-letter")
    return ChangeStage(encoder, bad, transforms), bad  # type: ignore[arg-type]


GOOD, BAD, LAST = b"1,10", b"2,\xffx", b"3,30"


def test_fail_stops_and_says_how_to_go_on(encoder: ChangeEncoder) -> None:
    stage, _ = stage_of(encoder, "fail")
    with pytest.raises(BadRecord) as caught:
        stage([change(GOOD), change(BAD)])
    assert "public.t" in caught.value.message
    assert "errors: skip" in caught.value.hint
    assert "\\xff" not in str(caught.value)


def test_skip_counts_and_goes_on(encoder: ChangeEncoder) -> None:
    stage, bad = stage_of(encoder, "skip")
    records = stage([change(GOOD), change(BAD), change(LAST)])
    assert [json.loads(record.key or b"") for record in records] == [{"id": 1}, {"id": 3}]
    assert bad.count == 1


def test_a_dead_letter_holds_what_the_database_sent(encoder: ChangeEncoder) -> None:
    stage, _ = stage_of(encoder, "dead_letter")
    _, letter, last = stage([change(GOOD), change(BAD), change(LAST)])
    assert (letter.topic, letter.key, last.topic) == ("shop.dead-letter", None, "shop.public.t")
    told = json.loads(letter.value or b"")
    assert told["after"] == {"id": "2", "n": {"base64": "/3g="}}
    assert (told["table"], told["op"], told["before"], told["topic"]) == ("public.t", "c", None, "shop.public.t")
    headers = dict(letter.headers)
    assert headers["__connect.errors.topic"] == b"shop.public.t"
    assert headers["__connect.errors.connector.name"] == b"shop"
    assert headers["__connect.errors.exception.message"] == told["error"].encode()


def test_a_dead_letter_prints_what_is_not_text(encoder: ChangeEncoder) -> None:
    def printed(cell: bytes) -> bytes:
        if cell != b"\2":
            raise BadRecord("unreadable")
        return b"two"

    told = replace(TABLE, columns=tuple(replace(column, text=printed) for column in TABLE.columns))
    stage, _ = stage_of(encoder, "dead_letter")
    [letter] = stage([Change(told, "c", None, b"\2,\xffx", origin=Here())])
    assert json.loads(letter.value or b"")["after"] == {"id": "two", "n": {"base64": "/3g="}}


@pytest.mark.parametrize(
    ("row", "after"),
    [(b"2,\xffx,secret", {"id": "2", "n": {"base64": "/3g="}, "name": "***"}), (b"2,1", None)],
)
def test_a_dead_letter_keeps_disguises(encoder: ChangeEncoder, row: bytes, after: object) -> None:
    name = Column("name", Schema("string"), bytes.decode)
    whole = replace(TABLE, columns=(*TABLE.columns, name, replace(name, name="gone")), format=Padded())
    rules = ColumnRules.model_validate({"mask": {"*.name": 3}, "exclude": ["*.gone"]})
    told = Projection(rules).table(whole)
    stage, _ = stage_of(encoder, "dead_letter")
    [letter] = stage([Change(told, "c", None, row, origin=Here())])
    assert json.loads(letter.value or b"")["after"] == after
    assert b"secret" not in (letter.value or b"") + repr(letter.headers).encode()


def test_transforms_change_and_drop(encoder: ChangeEncoder) -> None:
    def double(change: Change) -> Change:
        assert change.after is not None
        return change.with_rows(change.before, {**change.after, "n": int(str(change.after["n"])) * 2})

    def without_ones(change: Change) -> Change | None:
        return None if change.after and change.after["id"] == 1 else change

    stage, _ = stage_of(encoder, "fail", without_ones, double)
    [record] = stage([change(GOOD), change(LAST)])
    assert json.loads(record.value or b"")["after"] == {"id": 3, "n": 60}


def test_what_a_transform_cannot_decide_is_a_bad_record_in_its_place(encoder: ChangeEncoder) -> None:
    def picky(change: Change) -> Change:
        if change.after_wire == LAST:
            raise BadRecord("no idea")
        return change

    stage, bad = stage_of(encoder, "dead_letter", picky)
    records = stage([change(GOOD), change(LAST), change(b"4,40")])
    assert [record.topic for record in records] == ["shop.public.t", "shop.dead-letter", "shop.public.t"]
    assert bad.count == 1
    stage, _ = stage_of(encoder, "fail", picky)
    with pytest.raises(BadRecord, match="no idea"):
        stage([change(LAST)])
