"""Where the worker's log is in a campaign: segment files in a folder, or topics in a Kafka cluster."""

from __future__ import annotations

import base64
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from aiokafka.record.memory_records import MemoryRecords

from servers.kafka_broker import KafkaCluster
from servers.kafka_programs import Programs
from servers.proxy import TcpProxy
from tailrace.log.backend import LogBackend
from tailrace.log.kafka.backend import KafkaLog
from tailrace.log.kafka.settings import KafkaLogConfig
from tailrace.log.store.backend import BundledLog

Bytes = tuple[int, "bytes | None", "bytes | None"]
"""Offset, key and value of a record."""

READER = Path(__file__).with_name("CommittedReader.java")


class Place(Protocol):
    """A kind of log; what it needs runs while it is entered."""

    dense: bool
    """Whether no offset is left out."""

    @property
    def block(self) -> Mapping[str, object]:
        """The `log:` block of the worker's config."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def log(self) -> LogBackend:
        """Return the log for the harness's own readers."""
        ...

    def read_by_others(self, places: Sequence[tuple[str, int]]) -> Iterator[tuple[tuple[str, int], Iterator[Bytes]]]:
        """Yield partitions, in this order, with their records as somebody else's code reads them."""
        ...

    def blows(self) -> Sequence[str]:
        """Return the blows that only this kind of log can get, in turn."""
        ...

    def deal(self, name: str, rng: random.Random) -> None:
        """Deal one of `blows`."""


class FolderPlace:
    """The bundled log in a folder; `seed` chooses how it is written."""

    dense = True

    def __init__(self, path: Path, seed: int = 0, *, partitions: int = 1) -> None:
        self.path = path
        rng = random.Random(f"log {seed}")
        self._options = {
            "partitions": partitions,
            "segment_bytes": rng.choice((20_000, 1_000_000, 128_000_000)),
            "compression": rng.choice(("none", "lz4", "zstd")),
        }

    @property
    def block(self) -> Mapping[str, object]:
        return {"type": "bundled", "path": str(self.path), **self._options}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def log(self) -> LogBackend:
        return BundledLog.at(self.path)

    def read_by_others(self, places: Sequence[tuple[str, int]]) -> Iterator[tuple[tuple[str, int], Iterator[Bytes]]]:
        for topic, partition in places:
            yield (topic, partition), segment_records(self.path / "topics" / f"{topic}-{partition}")

    def blows(self) -> Sequence[str]:
        return ()

    def deal(self, name: str, rng: random.Random) -> None:
        raise AssertionError(f"no blow {name} for files")


class KafkaPlace:
    """Topics in three brokers, a proxy before each of them; `seed` chooses how they are written.

    `beside` are blows at what else is there, dealt in turn with those at the brokers.
    """

    dense = False

    def __init__(
        self,
        programs: Programs,
        folder: Path,
        seed: int = 0,
        *,
        partitions: int = 1,
        beside: Mapping[str, Callable[[], None]] | None = None,
    ) -> None:
        self.cluster = KafkaCluster(programs, 3)
        self._beside = beside or {}
        self._programs = programs
        self._folder = folder
        self._proxies: list[TcpProxy] = []
        self._running = ExitStack()
        compression = random.Random(f"log {seed}").choice(("none", "lz4", "zstd"))
        self._options: dict[str, object] = {"partitions": partitions, "compression": compression}

    @property
    def block(self) -> Mapping[str, object]:
        return {"type": "kafka", "bootstrap_servers": self.cluster.bootstrap_servers, **self._fixed()}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self.cluster.close)
            for broker in self.cluster.brokers:
                proxy = stack.enter_context(TcpProxy(broker.client_port))
                broker.advertised_port = proxy.port
                self._proxies.append(proxy)
            self.cluster.start()
            self._running = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def log(self) -> LogBackend:
        servers = self.cluster.internal_servers
        return KafkaLog(KafkaLogConfig.model_validate({"bootstrap_servers": servers, **self._fixed()}))

    def read_by_others(self, places: Sequence[tuple[str, int]]) -> Iterator[tuple[tuple[str, int], Iterator[Bytes]]]:
        """Yield what Java's consumer reads, which was told to read committed records only."""
        command = self._programs.java(str(READER), "-XX:TieredStopAtLevel=1")
        arguments = [self.cluster.internal_servers, *(word for place in places for word in map(str, place))]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        told: dict[tuple[str, int], list[Bytes]] = {place: [] for place in places}
        for line in done.stdout.splitlines():
            topic, partition, offset, key, value = line.split(" ")
            told[topic, int(partition)].append((int(offset), _octets(key), _octets(value)))
        for place, records in told.items():
            yield place, iter(records)

    def blows(self) -> Sequence[str]:
        at_brokers = "kill_broker", "cut_brokers", "refuse_brokers", "deaf_brokers", "hold_broker", "lose_one_broker"
        return *self._beside, *at_brokers

    def deal(self, name: str, rng: random.Random) -> None:
        if name in self._beside:
            self._beside[name]()
            return
        blow: Callable[[random.Random], None] = getattr(self, f"_{name}")
        blow(rng)

    def _fixed(self) -> dict[str, object]:
        registry = str(self._folder / "registry")
        return {"registry_path": registry, "offsets_partitions": 3, "replication_factor": 3, **self._options}

    def _kill_broker(self, rng: random.Random) -> None:
        broker = rng.choice(self.cluster.brokers)
        broker.kill()
        time.sleep(rng.uniform(0.5, 5))
        broker.launch()
        self.cluster.wait_ready()

    def _hold_broker(self, rng: random.Random) -> None:
        broker = rng.choice(self.cluster.brokers)
        broker.hold()
        time.sleep(rng.uniform(0.5, 8))
        broker.go_on()

    def _cut_brokers(self, _: random.Random) -> None:
        for proxy in self._proxies:
            proxy.cut()

    def _refuse_brokers(self, rng: random.Random) -> None:
        for proxy in self._proxies:
            proxy.refuse()
        self._resume(rng)

    def _deaf_brokers(self, rng: random.Random) -> None:
        for proxy in self._proxies:
            proxy.go_deaf()
        self._resume(rng)

    def _lose_one_broker(self, rng: random.Random) -> None:
        """The worker no longer reaches a broker that all the others see."""
        proxy = rng.choice(self._proxies)
        proxy.go_deaf()
        time.sleep(rng.uniform(0.5, 8))
        proxy.resume()

    def _resume(self, rng: random.Random) -> None:
        time.sleep(rng.uniform(0.2, 4))
        for proxy in self._proxies:
            proxy.resume()


def segment_records(folder: Path) -> Iterator[Bytes]:
    """Yield offset, key and value of all records in the segment files of a partition, committed or not."""
    for segment in sorted(folder.glob("*.log")):
        batches = MemoryRecords(segment.read_bytes())
        while batches.has_next():
            batch = batches.next_batch()
            assert batch is not None
            if not batch.validate_crc():
                raise ValueError(f"{segment}: checksum of the batch at offset {batch.base_offset} is wrong")
            for record in batch:
                yield record.offset, record.key, record.value


def _octets(text: str) -> bytes | None:
    return None if text == "-" else base64.b64decode(text[1:])
