"""Rows of every type as servers send them, cut short at every length and with bits turned over.

Both paths, with the compiled core and without, say the same of each, and nothing but `TailraceError`s.
`TAILRACE_FUZZ_ROUNDS` says how many damaged copies of each row there are, `TAILRACE_FUZZ_SEED` which.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from struct import pack
from typing import Any, cast

import pytest

from tailrace.core.pgoutput import Received
from tailrace.errors import TailraceError
from tailrace.event import Change, Event, Layout, Table
from tailrace.snapshot.schedule import Snapshot
from tailrace.source import SourceConfig
from tailrace_postgres import stream as stream_module
from tailrace_postgres.origin import SOURCE, Place, TransactionOrigin
from tailrace_postgres.pgoutput import Relation
from tailrace_postgres.position import StreamPosition
from tailrace_postgres.row import WireFormat
from tailrace_postgres.stream import Stream
from tailrace_postgres.table import Tables
from tailrace_postgres.types import TypeMapper, load_types
from unit.core.twins import Pair

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("postgres-rows-*.json"))
ROUNDS = int(os.environ.get("TAILRACE_FUZZ_ROUNDS", "200"))
SEED = int(os.environ.get("TAILRACE_FUZZ_SEED") or random.SystemRandom().randrange(10**6))
AT_ONCE = 64  # rows that are encoded together

BEGIN = b"B" + pack(">QqI", 5000, 1, 77)
PLACE = Place("shop", "db", {"public.every": ("public", "every")})
ORIGIN = TransactionOrigin(PLACE, xid=77, time=1, last_commit=None)

versions = pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem[-2:])


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a server sent of the table of all types."""

    types: Sequence[Sequence[str | None]]
    columns: Sequence[tuple[str, int, int, bool]]
    in_binary: Sequence[str]
    rows: dict[str, list[bytes]]

    def table(self, layout: Layout) -> Table:
        mapper = TypeMapper(load_types(self.types), SourceConfig(type="postgres"))
        binary = layout.startswith("binary_")
        made = tuple(
            mapper.column(name, oid, typmod, not_null=not_null, default=None, binary=binary)
            for name, oid, typmod, not_null in self.columns
            if name in self.in_binary or not binary
        )
        return Table(
            "public.every", "shop.public.every", made, (0,), WireFormat(layout, "public.every", len(made)), SOURCE
        )


@cache
def recorded(path: Path) -> Recorded:
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    columns = [(name, int(oid), int(typmod), required == "true") for name, oid, typmod, required in told["columns"]]
    rows = {
        name: [bytes.fromhex(row) for row in told[name]]
        for name in ("copy", "binary_copy", "messages", "binary_messages")
    }
    return Recorded(told["types"], columns, told["in_binary"], rows)


def truncated(whole: bytes) -> Iterator[bytes]:
    return (whole[:length] for length in range(len(whole)))


def flipped(whole: bytes) -> Iterator[bytes]:
    """Yield copies with a few bits turned over, some of them in what describes the row."""
    dice = random.Random(f"{SEED} {len(whole)}")
    for _ in range(ROUNDS):
        damaged = bytearray(whole)
        for _ in range(dice.choice([1, 1, 1, 2, 4])):
            damaged[dice.randrange(dice.choice([8, *[len(whole)] * 7])) % len(whole)] ^= 1 << dice.randrange(8)
        yield bytes(damaged)


def disagreement(pair: Pair, events: Sequence[Event]) -> str:
    """Say with which row the two encoders do not agree, if there is one."""
    for start in range(0, len(events), AT_ONCE):
        some = events[start : start + AT_ONCE]
        if not pair.agree(some):
            alone = [event for event in some if isinstance(event, Change) and not pair.agree([event])]
            return f"seed {SEED}: " + (
                repr((alone[0].before_wire, alone[0].after_wire)) if alone else "in company only"
            )
    return ""


damages = pytest.mark.parametrize("damaged", [truncated, flipped])


@versions
@damages
@pytest.mark.parametrize("layout", ["copy", "binary_copy"])
def test_rows_of_copy(path: Path, layout: Layout, damaged: Callable[[bytes], Iterator[bytes]]) -> None:
    golden, pair = recorded(path), Pair()
    table = golden.table(layout)
    for whole in golden.rows[layout]:
        wires = [whole, whole, *damaged(whole)]
        events = [Change(table, "r", None, wire, origin=ORIGIN, at=7) for wire in wires]
        assert disagreement(pair, events) == ""


class OneTable:
    """Gives the table of all types for whatever relation."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.in_binary = False

    def of_relation(self, relation: Relation) -> Table:
        return self._table

    def joined(self, oid: int) -> bool:
        return False


def taken(table: Table, messages: Sequence[bytes]) -> tuple[list[Change], list[object]]:
    """Return the changes of messages, and what they are in short or the words about what is wrong with them."""
    stream = Stream(StreamPosition(0, None, 10), cast("Tables", OneTable(table)), Snapshot([]), PLACE)
    stream.feed([Received(4000 + number, data) for number, data in enumerate([BEGIN, *messages])])
    changes: list[Change] = []
    try:
        while stream.waiting:
            changes += [event for event in stream.take(100, 10**6)[0] if isinstance(event, Change)]
    except TailraceError as error:
        return changes, [str(error)]
    return changes, [(one.op, one.before_wire, one.after_wire, one.at, one.moved) for one in changes]


@versions
@damages
@pytest.mark.parametrize(("layout", "name"), [("tuple", "messages"), ("binary_tuple", "binary_messages")])
def test_messages_of_the_stream(
    path: Path, layout: Layout, name: str, damaged: Callable[[bytes], Iterator[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    golden, pair = recorded(path), Pair()
    table = golden.table(layout)
    relation: list[bytes] = []
    for message in golden.rows[name]:
        if message.startswith(b"R"):
            relation = [message]
            continue
        # The whole message before shows the core that the relation needs no judgement.
        cases = [[*relation, message, wire] for wire in (message, *damaged(message))]
        with_core = [taken(table, case) for case in cases]
        with monkeypatch.context() as patch:
            patch.setattr(stream_module, "take_rows", lambda *_: (0, 0))
            without = [taken(table, case) for case in cases]
        for case, (_, ours), (_, theirs) in zip(cases, with_core, without, strict=True):
            assert ours == theirs, f"seed {SEED}: {case[-1]!r}"
        assert disagreement(pair, [change for changes, _ in with_core for change in changes[1:]]) == ""


def test_there_are_recordings() -> None:
    assert len(GOLDEN) == 2
    for path in GOLDEN:
        for name in ("messages", "binary_messages"):
            assert {chr(message[0]) for message in recorded(path).rows[name]} == set("RIUD")
        assert len(recorded(path).in_binary) > 30
