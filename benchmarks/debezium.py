"""Debezium embedded in a JVM of its own, its events made Avro by Confluent's converter, counted and dropped.

Nothing is written anywhere and no registry is asked over the network, so this is the most that a Kafka Connect worker
could get through. The JVM compiles with all its tiers and may take a gigabyte; the connector's settings are the
defaults but for those here. Knows no database: a connector's own settings come from the caller.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import measurement  # noqa: F401 - makes the tests' modules importable
import program
from databases.debezium.install import REQUIREMENT, install, missing

__all__ = ["REQUIREMENT", "Drained", "drain", "prepare"]

SOURCE = Path(__file__).with_name("Drain.java")

JAVA = ("java", "-Xmx1g")

SETTINGS = {
    "name": "bench",
    "offset.storage": "org.apache.kafka.connect.storage.MemoryOffsetBackingStore",
    # Avro allows fewer characters in names than databases do; Debezium's users have to set both for the Avro converter.
    "schema.name.adjustment.mode": "avro",
    "field.name.adjustment.mode": "avro",
    "topic.prefix": "crash",
}

DRAINED = re.compile(r"^drained (\d+) (\d+) (\d+) (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Drained:
    """What went through: records and their Avro bytes; the times (of `time.time`) of first batch and last record."""

    records: int
    bytes: int
    first: float
    last: float
    usage: program.Usage

    def figures(self, rows: int) -> dict[str, float]:
        """Return the figures of a run over that many rows."""
        return {
            "rows_per_second": rows / (self.last - self.first),
            "with_start": rows / (self.last - self.usage.began),
            "start_seconds": self.first - self.usage.began,
            "client_us_per_row": self.usage.client_cpu(self.first, self.last) / rows * 1e6,
            "peak_mb": self.usage.peak_mb,
            "all_mb": self.usage.all_mb,
        }


def prepare() -> None:
    """Fetch and compile what is not there yet; raises SystemExit where there is no JDK."""
    if reason := missing():
        raise SystemExit(f"debezium cannot run: {reason}")
    install(SOURCE)


def drain(
    settings: Mapping[str, str],
    topic: str,
    records: int,
    *,
    server_cpu: Callable[[], float] = lambda: 0.0,
    timeout: float = 900.0,
    at_least: bool = False,
    into: str = "",
) -> Drained:
    """Run a connector until so many records of a topic went through; raises SystemExit with its log otherwise.

    More of them in its last batch are refused too, unless `at_least` so many will do. `into` are the servers of a
    Kafka that they are sent to.
    """
    with tempfile.TemporaryDirectory(prefix="debezium-") as folder:
        properties = Path(folder) / "engine.properties"
        lines = [f"{name}={value}\n" for name, value in {**SETTINGS, **settings}.items()]
        properties.write_text("".join(lines).replace("\\", "\\\\"))
        command = [*JAVA, "-cp", install(SOURCE).class_path, "Drain", str(properties), topic, str(records)]
        command += [into] if into else []
        usage = program.run(command, server_cpu=server_cpu, timeout=timeout)
    found = DRAINED.search(usage.said)
    if found is None or (int(found.group(1)) != records and not (at_least and int(found.group(1)) > records)):
        raise SystemExit(f"debezium did not drain {records} records: {usage.said[-3000:]}")
    told, size, first, last = map(int, found.groups())
    return Drained(told, size, first / 1000, last / 1000, usage)
