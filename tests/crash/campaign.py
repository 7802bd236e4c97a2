"""One run of the harness: a server, its writers, a worker, blows, and the verdict."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from typer.testing import CliRunner

from crash.chaos import Chaos, Plan
from crash.dialect import Dialect
from crash.follower import Follower
from crash.history import History
from crash.place import FolderPlace, KafkaPlace, Place
from crash.side import Side
from crash.tables import SCHEMA
from crash.topics import Topics, committed
from crash.verify import Verdict, check_table
from crash.worker import CONNECTOR, Worker
from crash.workload import Pace, Workload
from servers.kafka_programs import Programs
from servers.proxy import TcpProxy
from tailrace.cli.main import app
from tailrace.errors import Retriable
from tailrace.log.backend import LogBackend

log = structlog.get_logger()

BULK_ATTEMPTS = 200
"""Half a second apart: a server that was killed takes its time on a loaded machine."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a campaign is to do. `bulk_rows` are written by one transaction each, at the moments of `bulks` (0 to 1).

    `sinks` are those of the worker, as in its config file, and `look` tells what is wrong with what they have made.
    """

    side: Side
    folder: Path
    seed: int
    plan: Plan = field(default_factory=Plan)
    pace: Pace = field(default_factory=Pace)
    bulk_rows: int = 200_000
    bulks: tuple[float, ...] = (0.1, 0.6)
    chunk_rows: int = 300
    partitions: int = 1
    kafka: Programs | None = None
    """Where the log is to be in Kafka; else it lies in the folder."""
    sinks: Mapping[str, object] = field(default_factory=dict)
    look: Callable[[LogBackend], Sequence[str]] = lambda _: ()


@dataclass(slots=True)
class Outcome:
    """What a campaign found. `problems` are faults outside of the topics' content: exit codes, offsets, the slot."""

    verdict: Verdict = field(default_factory=Verdict)
    problems: list[str] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)
    given_up: list[str] = field(default_factory=list)
    """What was said of tasks that were not started again, until the worker was."""

    @property
    def clean(self) -> bool:
        """Whether nothing at all was found."""
        return self.verdict.clean and not self.problems

    def lines(self) -> list[str]:
        """Return the outcome for people."""
        return [*self.verdict.lines(), *(f"problem: {text}" for text in self.problems)]


class Campaign:
    """Runs orders on a server of its own."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._outcome = Outcome()
        self._settled: int | None = None
        self._follower: Follower | None = None
        self._place: Place
        if orders.kafka is None:
            self._place = FolderPlace(orders.folder / "data", orders.seed, partitions=orders.partitions)
        else:
            self._place = KafkaPlace(orders.kafka, orders.folder, orders.seed, partitions=orders.partitions)

    def run(self) -> Outcome:
        """Do all, from an empty server to the verdict."""
        orders = self._orders
        log.info("campaign", seed=orders.seed, folder=str(orders.folder))
        self._outcome.figures["log"] = dict(self._place.block)
        with orders.side as side, self._place:
            self._outcome.figures["collation"] = side.create_tables()
            workload = Workload(side.url, orders.seed, orders.pace, dialect=side.dialect)
            workload.prefill()
            with TcpProxy(side.port) as proxy:
                worker = Worker(
                    orders.folder, proxy.through(side.url),
                    tuple(f"{SCHEMA}.{table.name}" for table in side.tables),
                    options={"chunk_rows": orders.chunk_rows, "heartbeat_interval": 1.0, **side.options},
                    log_options=self._place.block, sinks=orders.sinks,
                    worker_options={"restart_delay": 0.1, "restart_delay_max": 1.0, "restart_limit": 1000},
                )  # fmt: skip
                worker.write_config()
                try:
                    self._attack(worker, Chaos(worker, side, proxy, orders.plan, orders.seed, self._place), workload)
                    self._finish(worker)
                finally:
                    worker.kill(with_tasks=True)
            self._judge(worker, side)
            self._outcome.problems += orders.look(self._place.log())
        self._outcome.figures["writers"] = dict(workload.counts)
        self._outcome.figures["worker_starts"] = worker.starts
        self._outcome.given_up = worker.given_up()
        return self._outcome

    def _attack(self, worker: Worker, chaos: Chaos, workload: Workload) -> None:
        stopping = threading.Event()
        watch = threading.Thread(target=self._watch, args=[workload.dialect, stopping], daemon=True)
        bulk = threading.Thread(target=self._bulks, args=[workload, stopping], daemon=True)
        self._follower = Follower(self._place, f"{CONNECTOR}.{SCHEMA}.*")
        workload.start()
        worker.start()
        self._follower.start()
        watch.start()
        bulk.start()
        try:
            chaos.run(stopping)
            watch.join(480)  # the writers go on until the snapshot is done
        finally:
            bulk.join(300)
            stopping.set()
            watch.join(30)
            with contextlib.ExitStack() as ending:
                ending.callback(self._outcome.figures.update, dealt=dict(chaos.dealt))
                ending.callback(workload.stop)

    def _bulks(self, workload: Workload, stopping: threading.Event) -> None:
        begin = time.monotonic()
        for number, moment in enumerate(self._orders.bulks):
            stopping.wait(max(0.0, begin + moment * self._orders.plan.seconds - time.monotonic()))
            for attempt in range(BULK_ATTEMPTS):
                try:
                    workload.bulk(self._orders.bulk_rows, number * BULK_ATTEMPTS + attempt)
                except (*workload.dialect.lost, *workload.dialect.refused) as lost:
                    workload.counts[f"bulk {type(lost).__name__}"] += 1
                    time.sleep(0.5)
                else:
                    workload.counts["bulks"] += 1
                    break

    def _watch(self, dialect: Dialect, stopping: threading.Event) -> None:
        """Wait for the end of the snapshot, and draw a version then."""
        while not stopping.wait(0.2):
            if not self._snapshot_done():
                continue
            with contextlib.suppress(*dialect.lost):
                self._settled = self._orders.side.last_version()
                log.info("snapshot is done", version=self._settled)
                return

    def _snapshot_done(self) -> bool:
        """Whether its end is committed; what the worker says in its status may still be lost in a crash."""
        with contextlib.suppress(Retriable):  # a broker is away
            position = committed(self._place)
            snapshot = position.get("snapshot") if position is not None else None
            return isinstance(snapshot, Mapping) and snapshot.get("done") is True
        return False

    def _finish(self, worker: Worker) -> None:
        """Stop in good order, then catch up in one go."""
        worker.wait_until_running(timeout=120)
        code = worker.stop()
        if code != 0:
            self._outcome.problems.append(f"worker stopped with exit code {code}: {worker.last_words()}")
        began = time.monotonic()
        worker.start("--until-current")
        try:
            code = worker.wait(timeout=600)
        except subprocess.TimeoutExpired:
            code = -9
        self._outcome.figures["catch_up_seconds"] = round(time.monotonic() - began, 1)
        if code != 0:
            self._outcome.problems.append(f"run --until-current: exit code {code}: {worker.last_words()}")

    def _judge(self, worker: Worker, side: Side) -> None:
        topics = Topics(self._place, CONNECTOR)
        self._outcome.problems += side.problems(self._outcome.figures)
        for table in side.tables:
            history = side.history(table, self._settled)
            if wrong := history.contradictions():
                raise AssertionError(f"the harness is wrong about {table.name}: {wrong[:3]}")
            self._judge_table(worker, topics, history)
        self._ask_others(topics, side)
        if self._follower is not None:
            self._outcome.problems += self._follower.problems(topics)
            self._outcome.figures["records_followed"] = sum(map(len, self._follower.shown.values()))
        self._outcome.figures["snapshot_done_at_version"] = self._settled
        self._outcome.figures["events"] = dict(self._outcome.verdict.events)
        if self._settled is None:
            self._outcome.problems.append("the snapshot was never seen complete")

    def _judge_table(self, worker: Worker, topics: Topics, history: History) -> None:
        table = history.table
        partitions = topics.partitions(table)
        try:
            told = [topics.events(table, partition) for partition in partitions]
            self._outcome.verdict.merge(check_table(history, *(told or [iter(())])))
        except ValueError as error:
            self._outcome.problems.append(str(error))
        # On a slow machine a table may never have been written to; then there is no topic, which is no fault.
        if partitions and (tailed := tail_differs(worker, topics, topics.topic(table))):
            self._outcome.problems.append(tailed)

    def _ask_others(self, topics: Topics, side: Side) -> None:
        ours = {
            (topics.topic(table), partition): topics.told(topics.topic(table), partition)
            for table in side.tables for partition in topics.partitions(table)
        }  # fmt: skip
        others = topics.told_to_others({place: told.records for place, told in ours.items()})
        for (topic, partition), told in ours.items():
            if told != others[topic, partition]:
                self._outcome.problems.append(
                    f"{topic}-{partition}: our reader told {told}, another one {others[topic, partition]}"
                )


def tail_differs(worker: Worker, topics: Topics, topic: str, *, records: int = 50) -> str:
    """Compare the first records of `tailrace tail` with those of the log's reader; return how they differ."""
    arguments = ["tail", topic, "--config", str(worker.config), "--from", "earliest", "--max", str(records)]
    done = CliRunner().invoke(app, arguments)
    lines: Iterator[dict[str, object]] = map(json.loads, done.stdout.splitlines())
    told = [(line["topic"], line["partition"], line["offset"], line["value"] is None) for line in lines]
    tailed = [line for line in told if line[1] == 0]
    stored = [
        (record.topic, record.partition, record.offset, record.value is None)
        for record, _ in zip(topics.log.records(topic, 0, 0), tailed, strict=False)
    ]
    well = done.exit_code == 0 and told and tailed == stored
    return "" if well else f"tail of {topic}: {done.exception!r}: {done.stderr[-500:]}"
