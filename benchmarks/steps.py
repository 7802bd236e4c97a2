"""What does each step between the socket and the log cost, in the compiled core and in plain Python?

    python benchmarks/steps.py --rows 50000 --runs 5

Messages of the table of ten everyday columns are captured once; then every step is fed from memory, without a server:
microseconds of CPU per row, the best of all runs.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import measurement
import subject
from tailrace.codec.encoder import ChangeEncoder
from tailrace.core.pgoutput import Plain, Received, drain, take_rows
from tailrace.event import Change, Event, Origin, Record, Table
from tailrace.log.store.backend import BundledLog
from tailrace_postgres import pgoutput
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.source import PostgresSource

BATCH = 1000


def main() -> None:
    """Measure, and publish."""
    given = subject.parser(__doc__ or "", rows=50_000).parse_args()
    changes, wires = _capture(given.pg, given.rows)
    steps = _steps(changes, wires)
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(given.rounds):
        for name, step in steps.items():
            best[name] = min(best[name], step() / given.rows * 1e6)
            print(f"{name}: {best[name]:.2f} us", flush=True)
    rows: list[dict[str, measurement.Cell]] = [{"step": name, "us_per_row": round(us, 3)} for name, us in best.items()]
    measurement.publish("steps", rows, postgres=given.pg, changes=given.rows, batch=BATCH, rounds=given.rounds)


def _capture(version: int, count: int) -> tuple[list[Change], list[bytes]]:
    """Return changes as the source gives them, and the messages that they came in."""
    with subject.server(version) as server, server.connect() as connection:
        connection.execute(subject.TABLE.format(name="goods"))
        config = PostgresConfig.model_validate(
            {"type": "postgres", "url": server.dsn(), "tables": ["public.goods"], "snapshot": "never"}
        )
        source = PostgresSource("steps", config)
        source.open(None)
        subject.insert(connection, "goods", 1, count)
        changes: list[Change] = []
        while len(changes) < count:
            changes += [event for event in source.poll(1.0).items if isinstance(event, Change)]
        source.close()
    wires = [b"I\x00\x00\x00\x07N" + (change.after_wire or b"") for change in changes]
    return changes, wires


def _steps(changes: Sequence[Change], wires: Sequence[bytes]) -> dict[str, Callable[[], float]]:
    table, origin = changes[0].table, changes[0].origin
    received = [Received(number, wire) for number, wire in enumerate(wires)]
    frames = [memoryview(b"w" + bytes(24) + wire) for wire in wires]
    compiled = _encoder(partitions=lambda _: 1)
    plain = _encoder(partitions=None)
    blocks = [compiled.encode(batch) for batch in _batches(changes)]
    records = [plain.encode(batch) for batch in _batches(changes)]
    return {
        "receive, core": functools.partial(_drain, frames),
        "messages to changes, core": functools.partial(_take_rows, received, table, origin),
        "messages to changes, python": functools.partial(_decode, received, table, origin),
        "changes to records, core": functools.partial(_encode, compiled, changes),
        "changes to records, python": functools.partial(_encode, plain, changes),
        "records to the log, core": functools.partial(_write, blocks, "none"),
        "records to the log, python": functools.partial(_write, records, "none"),
        "blocks to the log, lz4": functools.partial(_write, blocks, "lz4"),
    }


def _batches(changes: Sequence[Change]) -> Iterator[Sequence[Event]]:
    for start in range(0, len(changes), BATCH):
        yield changes[start : start + BATCH]


def _encoder(partitions: Callable[[str], int] | None) -> ChangeEncoder:
    folder = Path(tempfile.mkdtemp(prefix="tailrace-bench-"))
    log = BundledLog.at(folder)
    return ChangeEncoder(
        log.registry(), PostgresConfig.model_validate({"type": "postgres", "url": "x"}), partitions=partitions
    )


def _drain(frames: Sequence[memoryview]) -> float:
    iterator = iter(frames)

    def get_copy_data(_: int) -> tuple[int, memoryview]:
        frame = next(iterator, None)
        return (0, memoryview(b"")) if frame is None else (len(frame), frame)

    began = time.process_time()
    while True:
        taken: list[Received] = []
        got, _ = drain(get_copy_data, taken, BATCH, 1 << 20)
        if got is not None:
            return time.process_time() - began


def _take_rows(received: Sequence[Received], table: Table, origin: Origin) -> float:
    backlog, relations = deque(received), {7: Plain(table)}
    began = time.process_time()
    while backlog:
        events: list[Event] = []
        take_rows(backlog, relations, Change, origin, events, BATCH, 1 << 30)
    return time.process_time() - began


def _decode(received: Sequence[Received], table: Table, origin: Origin) -> float:
    backlog = deque(received)
    began = time.process_time()
    while backlog:
        events: list[Event] = []
        while backlog and len(events) < BATCH:
            one = backlog.popleft()
            message = pgoutput.decode(one.data or b"", one.lsn)
            assert isinstance(message, pgoutput.Insert)
            events.append(Change(table, "c", None, message.new, origin=origin, at=one.lsn))
    return time.process_time() - began


def _encode(encoder: ChangeEncoder, changes: Sequence[Change]) -> float:
    batches = list(_batches(changes))
    began = time.process_time()
    for batch in batches:
        encoder.encode(batch)
    return time.process_time() - began


def _write(batches: Sequence[Sequence[Record]], compression: str) -> float:
    folder = Path(tempfile.mkdtemp(prefix="tailrace-bench-"))
    config = BundledLog.Config.model_validate({"path": folder, "compression": compression, "fsync": "never"})
    writer = BundledLog(config).writer()
    writer.open("steps")
    began = time.process_time()
    for batch in batches:
        writer.write(batch)
    writer.commit({"at": 1})
    seconds = time.process_time() - began
    writer.close()
    return seconds


if __name__ == "__main__":
    main()
