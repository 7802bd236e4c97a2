"""Records that are too large for their topic have the fate that the connector's `errors` says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tailrace.codec.encoder import ChangeEncoder
from tailrace.errors import BadRecord
from tailrace.event import Cell, Change, Column, Table
from tailrace.log.store.backend import BundledLog
from tailrace.runtime.size_limit import LimitedStage
from tailrace.runtime.stage import BadRecords, ChangeStage, ErrorPolicy
from tailrace.schema import Field, Schema, Value
from tailrace.source import SourceConfig

SOURCE = Schema("struct", name="x.Source", fields=(Field("lsn", Schema("int64")),))
LIMIT = 1000


class Comma:
    def cells(self, wire: bytes) -> Sequence[Cell]:
        return wire.split(b",")


class At:
    def __init__(self, lsn: int) -> None:
        self.lsn = lsn

    def source_block(self, change: Change) -> Sequence[Value]:
        return [self.lsn]


TEXT = Schema("string")
TABLE = Table(
    "public.t", "shop.public.t", (Column("id", TEXT, bytes.decode), Column("v", TEXT, bytes.decode)), (0,), Comma(),
    SOURCE,
)  # fmt: skip


def limited(folder: Path, policy: ErrorPolicy, form: str) -> tuple[LimitedStage, BadRecords]:
    config = SourceConfig.model_validate({"type": "x", "topic_prefix": "shop", "format": form})
    encoder = ChangeEncoder(BundledLog.at(folder).registry(), config, partitions=lambda _: 1)
    bad = BadRecords("shop", policy, "shop.dead-letter")
    return LimitedStage(ChangeStage(encoder, bad), bad, lambda topic: LIMIT), bad


def rows(*cells: bytes) -> list[Change]:
    return [Change(TABLE, "c", None, b"%d,%s" % (n, cell), origin=At(n)) for n, cell in enumerate(cells)]


@pytest.mark.parametrize("form", ["avro", "json"])
def test_a_dead_letter_names_the_row_and_where_it_is(tmp_path: Path, form: str) -> None:
    stage, bad = limited(tmp_path, "dead_letter", form)
    before, letter, after = stage(rows(b"a", b"v" * LIMIT, b"c"))
    assert [record.topic for record in (before, letter, after)] == [TABLE.topic, "shop.dead-letter", TABLE.topic]
    told = json.loads(letter.value or b"")
    assert (told["table"], told["op"], told["after"], told["source"]) == ("public.t", "c", {"id": "1"}, {"lsn": 1})
    assert f"the topic takes {LIMIT}" in told["error"]
    assert b"vvv" not in (letter.value or b"")
    assert bad.count == 1


def test_a_batch_that_is_large_with_small_records_is_left_alone(tmp_path: Path) -> None:
    stage, bad = limited(tmp_path, "skip", "avro")
    assert len(stage(rows(*[b"v" * 100] * 50))) == 50
    assert len(stage(rows(b"a", b"v" * LIMIT, b"c"))) == 2
    assert bad.count == 1


def test_what_cannot_be_encoded_beside_it_is_counted_once(tmp_path: Path) -> None:
    stage, bad = limited(tmp_path, "skip", "avro")
    [kept] = stage([*rows(b"a", b"v" * LIMIT), Change(TABLE, "c", None, b"9,\xff", origin=At(9))])
    assert kept.topic == TABLE.topic
    assert bad.count == 2


def test_fail_names_size_and_limit(tmp_path: Path) -> None:
    stage, _ = limited(tmp_path, "fail", "avro")
    with pytest.raises(BadRecord, match=rf"{TABLE.topic}: a record of \d+ bytes, where the topic takes {LIMIT}"):
        stage(rows(b"v" * LIMIT))
