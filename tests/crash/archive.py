"""Archives and Iceberg tables against the log that they were made of.

Every record but tombstones is there once, and no other; and a table's state is what its changes make, one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from crash.tables import SCHEMA
from crash.worker import CONNECTOR
from lake.reading import Row, published, rows_of
from lake.tables import scanned
from tailrace.codec.decoder import Decoder, row_change
from tailrace.log.backend import LogBackend
from tailrace_archive.manifest import read_manifest

Place = tuple[str, int, int]

STATES = ("accounts", "order_lines", "people", "pages", "scratch")
"""Tables whose changes a state can follow: they have a key, and their updates tell all values."""


def archive_sinks(folder: Path) -> Mapping[str, object]:
    """Sinks that archive all topics of the tables into `folder`, in every form, and publish all the time."""
    prefix = f"{CONNECTOR}.{SCHEMA}."
    often = {"type": "archive", "topics": [f"{prefix}*"], "commit_interval": 0.3, "roll_rows": 500}
    tables = {"type": "iceberg", "commit_interval": 1.0, "spool": str(folder / "spool")}
    return {
        "changes": {
            **tables,
            "path": str(folder / "changes"),
            "topics": [prefix + name for name in (*STATES, "notes")],
        },
        "states": {
            **tables,
            "path": str(folder / "states"),
            "topics": [prefix + name for name in STATES],
            "mode": "state",
        },
        "parquet": {**often, "path": str(folder / "parquet"), "format": "parquet"},
        "avro": {**often, "path": str(folder / "avro"), "format": "avro", "partition_by": "day"},
    }


def archived(folder: Path, log: LogBackend) -> list[str]:
    """Return what is wrong with the archives in a campaign's folder, which were made of `log`."""
    prefix = f"{CONNECTOR}.{SCHEMA}."
    problems = [
        f"{sink}: {problem}"
        for sink in ("parquet", "avro")
        for problem in archive_problems(log, folder / sink, sink, prefix)
    ]
    for name in (*STATES, "notes"):
        rows = scanned(folder / "changes", f"{prefix}{name}".replace(".", "_", 1)).to_pylist()
        wanted = dict(_wanted(log, f"{prefix}{name}"))
        problems += [f"changes of {name}: {problem}" for problem in _compared(rows, wanted)]
    for name in STATES:
        found = scanned(folder / "states", f"{prefix}{name}".replace(".", "_", 1)).to_pylist()
        if sorted(map(repr, found)) != sorted(map(repr, _state(log, f"{prefix}{name}"))):
            problems.append(f"state of {name}: {len(found)} rows are not those that its changes make")
    return problems


def archive_problems(log: LogBackend, archive: Path, sink: str, prefix: str) -> list[str]:
    """Return what is wrong with the archive of all topics that begin with `prefix`; empty: nothing."""
    problems = archive_differences(log, archive, prefix)
    listed = {entry.path for entry in read_manifest(str(archive), sink).files}
    if listed != {str(path.relative_to(archive)) for path in published(archive)}:
        problems.append("the manifest does not name the files that are there")
    if left := list((archive / "_tailrace" / sink).rglob("*.staged")):
        problems.append(f"left behind: {left[:3]}")
    return problems


def archive_differences(log: LogBackend, archive: Path, prefix: str) -> list[str]:
    """Compare the files of an archive with the topics that begin with `prefix`."""
    rows = [row for path in published(archive) for row in rows_of(path)]
    return _compared(rows, dict(_wanted(log, prefix)))


def _compared(rows: Sequence[Row], wanted: Mapping[Place, Mapping[str, object]]) -> list[str]:
    found: Counter[Place] = Counter()
    wrong: list[str] = []
    for row in rows:
        place = (row["__topic"], row["__partition"], row["__offset"])
        found[place] += 1
        told = _told(row)
        if place in wanted and told != wanted[place]:
            wrong.append(f"{place}: {told} where the log has {wanted[place]}")
    lost, twice = wanted.keys() - found.keys(), [place for place, count in found.items() if count > 1]
    invented = found.keys() - wanted.keys()
    problems = [*wrong[:3]]
    problems += [f"lost {len(lost)}: {sorted(lost)[:3]}"] if lost else []
    problems += [f"twice {len(twice)}: {sorted(twice)[:3]}"] if twice else []
    problems += [f"invented {len(invented)}: {sorted(invented)[:3]}"] if invented else []
    return problems


def _state(log: LogBackend, topic: str) -> list[Mapping[str, object]]:
    """Return the rows that the changes of a topic make, told one by one."""
    decoder = Decoder(log.registry())
    rows: dict[bytes, Mapping[str, object]] = {}
    for record in log.records(topic, 0, 0):
        change = None if record.value is None else row_change(decoder.value(record.value), record.headers)
        if change is None:
            continue
        if record.key is None:
            rows.clear()
        elif change.op == "d":
            rows.pop(record.key, None)
        else:
            rows[record.key] = dict(change.after or {})
    return list(rows.values())


def _wanted(log: LogBackend, prefix: str) -> Iterator[tuple[Place, Mapping[str, object]]]:
    decoder = Decoder(log.registry())
    for info in log.partitions():
        if info.topic.startswith(prefix):
            for record in log.records(info.topic, info.partition, 0):
                if record.value is not None:
                    yield (record.topic, record.partition, record.offset), _told(decoder.value(record.value))


def _told(envelope: object) -> Mapping[str, object]:
    """What tells one change from all others, in numbers and texts that no format has another form for."""
    assert isinstance(envelope, Mapping)
    rows = {side: envelope[side] is not None for side in ("before", "after")}
    return rows | {name: envelope[name] for name in ("op", "ts_ms", "ts_ns", "source")}
