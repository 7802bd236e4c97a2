"""An archive against the log that it was made of: every record but tombstones once, and no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from crash.tables import SCHEMA
from crash.worker import CONNECTOR
from lake.reading import published, rows_of
from tailrace.codec.decoder import Decoder
from tailrace.log.store.backend import BundledLog
from tailrace_archive.manifest import read_manifest

Place = tuple[str, int, int]


def archive_sinks(folder: Path) -> Mapping[str, object]:
    """Sinks that archive all topics of the tables into `folder`, in both formats, and publish all the time."""
    often = {"type": "archive", "topics": [f"{CONNECTOR}.{SCHEMA}.*"], "commit_interval": 0.3, "roll_rows": 500}
    return {
        "parquet": {**often, "path": str(folder / "parquet"), "format": "parquet"},
        "avro": {**often, "path": str(folder / "avro"), "format": "avro", "partition_by": "day"},
    }


def archived(folder: Path) -> list[str]:
    """Return what is wrong with the archives in a campaign's folder."""
    return [
        f"{sink}: {problem}"
        for sink in ("parquet", "avro")
        for problem in archive_problems(folder / "data", folder / sink, sink, f"{CONNECTOR}.{SCHEMA}.")
    ]


def archive_problems(log_path: Path, archive: Path, sink: str, prefix: str) -> list[str]:
    """Return what is wrong with the archive of all topics that begin with `prefix`; empty: nothing."""
    log = BundledLog(BundledLog.Config.model_validate({"path": log_path}))
    wanted = dict(_wanted(log, prefix))
    found: Counter[Place] = Counter()
    wrong: list[str] = []
    for path in published(archive):
        for row in rows_of(path):
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
    listed = {entry.path for entry in read_manifest(str(archive), sink).files}
    if listed != {str(path.relative_to(archive)) for path in published(archive)}:
        problems.append("the manifest does not name the files that are there")
    if left := list((archive / "_tailrace" / sink).rglob("*.staged")):
        problems.append(f"left behind: {left[:3]}")
    return problems


def _wanted(log: BundledLog, prefix: str) -> Iterator[tuple[Place, Mapping[str, object]]]:
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
