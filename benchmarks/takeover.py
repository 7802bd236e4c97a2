"""How long is a task without a worker, from the end of one to the next event by another?

    python benchmarks/takeover.py [--rounds 20] [--others 5] [--rows 10] [--session 15]

Three workers share three tasks through one Kafka broker, and rows are written all the time. In every round the worker
of a task that has told `--rows` rows ends: killed with signal 9 alone (`--rounds`), killed with all that it has
started, as when a machine dies, or stopped in order (`--others`). The time runs from the signal until a reader of
committed records has the first one by the task's next writer. Whether that one has opened the task is asked again and
again, so a figure may be too long by as much as one question takes.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

import measurement  # makes the harness of the tests importable, too
from cluster.crew import Crew, Member
from cluster.origin import PostgresOrigin
from measurement import Cell
from servers.kafka import require
from servers.kafka_broker import KafkaCluster
from servers.postgres import require as require_postgres
from tailrace.demo.postgres import PostgresServer
from tailrace.log.kafka.client import Clients
from tailrace.log.kafka.offsets import OffsetsTopic
from tailrace.log.kafka.topics import Topics

TASKS = ("a", "b", "c")
PATIENCE = 120.0

WAYS: dict[str, Callable[[Member], object]] = {
    "worker killed": Member.kill,
    "machine dies": Member.crash,
    "worker stopped": Member.stop,
}


def take_over(crew: Crew, number: int, rows: int, end: Callable[[Member], object]) -> float:
    """End the worker of a task; return the seconds until another has told something."""
    task = TASKS[number % len(TASKS)]
    owner = crew.wait_shared()[task]
    victim = next(member for member in crew.members if member.pid == owner)
    crew.wait(lambda: len(crew.told(task)) >= rows, f"{task} tells {rows} changes", timeout=PATIENCE + rows)
    crew.wait_flowing(task)
    clients = Clients(crew.log.config)
    offsets = OffsetsTopic(clients, Topics(clients))
    offsets.ensure()
    before = offsets.writer_of(task)
    consumer = Consumer(
        {"bootstrap.servers": crew.log.config.servers, "group.id": "takeover", "isolation.level": "read_committed",
         "auto.offset.reset": "latest", "fetch.wait.max.ms": 20}
    )  # fmt: skip
    place = TopicPartition(crew.topic(task), 0)
    consumer.assign([TopicPartition(place.topic, 0, consumer.get_watermark_offsets(place, timeout=30)[1])])
    begun = time.perf_counter()
    end(victim)
    while offsets.writer_of(task) == before:
        if time.perf_counter() - begun > PATIENCE:
            raise SystemExit(f"nobody took {task} over\n{crew.last_words()}")
    while consumer.poll(0.0) is not None:
        pass  # by whoever had it before, or by the next in the time of the last question
    while (message := consumer.poll(1.0)) is None or message.error() is not None:
        if time.perf_counter() - begun > PATIENCE:
            raise SystemExit(f"no event of {task} came\n{crew.last_words()}")
    seconds = time.perf_counter() - begun
    consumer.close()
    victim.start()
    return seconds


def main() -> None:
    """Measure, and publish."""
    options = measurement.parser(__doc__ or "", rows=10, rounds=20)
    options.add_argument("--others", type=int, default=5, help="how often for the other ways to end; 5 if not given")
    options.add_argument("--session", type=float, default=15.0, help="worker.session_timeout; 15 if not given")
    given = options.parse_args()
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    with (
        tempfile.TemporaryDirectory(prefix="tailrace-") as folder,
        PostgresServer(require_postgres(15)) as server,
        KafkaCluster(require()) as kafka,
    ):
        servers = [kafka.internal_servers] * len(TASKS)
        origins = dict.fromkeys(TASKS, PostgresOrigin(server.dsn()))
        with Crew(Path(folder), "takeover", origins, servers, given.session) as crew:
            crew.start()
            for way, end in WAYS.items():
                for number in range(given.rounds if end is Member.kill else given.others):
                    found[way].append(take_over(crew, number, given.rows, end))
            crew.check()
    rows: list[dict[str, Cell]] = [
        {"case": way, "contender": "take-over", "p50_seconds": statistics.median(times), "max_seconds": max(times)}
        for way, times in found.items()
        if times
    ]
    every_run: list[dict[str, Cell]] = [
        {"case": way, "seconds": seconds} for way, times in found.items() for seconds in times
    ]
    measurement.publish("takeover", rows, about=__doc__ or "", goals=[], every_run=every_run, parameters=vars(given))


if __name__ == "__main__":
    main()
