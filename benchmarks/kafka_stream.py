"""How quick is the stream into Kafka, exactly once, and how late is a row there?

    python benchmarks/kafka_stream.py [--rows 200000] [--rounds 5]

One broker of Kafka 4 on the same machine, one partition, lz4; the table of ten everyday columns, a backlog in
transactions of 1 to 1,000 rows. By turns:

* `kafka`: a worker into Kafka, records and position in one transaction
* `bundled`: the same worker into the bundled log, every commit synced
* `sender`: `pg_recvlogical` throws the same stream away: what the database's own sender can do here
* `prepared`: only the worker's writer, which sends the records that `kafka` wrote, as exactly once as before
* `producer`: confluent-kafka's producer, idempotent and without transactions, sends the records that `kafka` wrote
* `debezium`: Debezium embedded, its Avro sent by Java's producer, idempotent, its batch flushed before it goes on

`rows_per_second` is, for a worker, from START_REPLICATION to the last byte in the topic; for `prepared` and the
producer from the first record to the last answer; for Debezium from the first batch to the last answer. `latency` is
from just before an INSERT is sent, at 1,000 rows a second, to a consumer of committed records. One drain before all
rounds is not counted: a broker that has just started compiles its code for longer than a drain takes.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

from confluent_kafka import Producer

import debezium
import latency
import measurement
import program
import subject
from beside_debezium import _load, _settings
from contest import Contest, Figures, hold
from crash.worker import TAILRACE, Worker
from measurement import Goal
from postgres_stream import BASE, SETTINGS, TOPIC, Backlog, Walsenders, drop_slot
from servers.kafka import require
from servers.kafka_broker import KafkaCluster
from tailrace.codec.decoder import Decoder
from tailrace.codec.encoded import EncodedRecords
from tailrace.core.block import Blocks
from tailrace.demo.postgres import PostgresServer
from tailrace.errors import Retriable
from tailrace.event import Record
from tailrace.log.backend import StoredRecord
from tailrace.log.kafka.backend import KafkaLog
from tailrace.log.kafka.client import Clients
from tailrace.log.kafka.settings import KafkaLogConfig
from tailrace.runtime.task import Pace
from tailrace.sink import Sink

GOALS = {"bundled": ("the bundled log", 0.6), "producer": ("a plain producer", 0.8), "debezium": ("debezium", 4.0)}
"""What each contender is called, and the ratio to reach; `sender` only says what can be reached."""


class Field:
    """A broker beside a backlog, and the records that the worker wrote last."""

    def __init__(self, cluster: KafkaCluster, backlog: Backlog) -> None:
        self.cluster = cluster
        self.backlog = backlog
        self.records: list[StoredRecord] = []

    def log(self) -> KafkaLog:
        """Return the log that the worker writes."""
        return KafkaLog(KafkaLogConfig(bootstrap_servers=self.cluster.bootstrap_servers))

    def kafka(self) -> Figures:
        """Drain the backlog with a worker into Kafka."""
        self.cluster.clear()
        self.backlog.copy_slot(subject.SLOT_NAME)
        with kafka_worker(self.cluster, self.backlog.server.dsn(), "public.goods") as worker:
            senders = Walsenders(self.backlog.server)
            usage = program.run([str(TAILRACE), "run", str(worker.config), "--until-current"], server_cpu=senders.cpu)
        log = self.log()
        self.records = list(log.records(TOPIC, 0, 0))
        if len(self.records) != self.backlog.records:
            raise SystemExit(f"{len(self.records)} of {self.backlog.records} records: {usage.said[-3000:]}")
        drop_slot(self.backlog.connection, subject.SLOT_NAME)
        return plain(self.backlog.figures(usage, senders.asked(), self.last_byte()))

    def bundled(self) -> Figures:
        """Drain it into the bundled log."""
        return plain(self.backlog.by_tailrace())

    def sender(self) -> Figures:
        """Throw the stream away as it comes."""
        return plain(self.backlog.by_recvlogical(binary=True))

    def prepared(self) -> Figures:
        """Send the same records by the worker's writer, with a commit for as many bytes as a task commits at once."""
        commits = self.commits("prepared")
        with closing(self.log().writer("prepared")) as writer:
            writer.open("prepared")
            return measured(partial(commit_all, writer, commits), len(self.records))

    def commits(self, topic: str) -> list[EncodedRecords]:
        """Return the records, for another topic, as a worker's writer is given them, those of one commit together."""
        blocks = Blocks(lambda _: 1)
        for record in self.taken():
            blocks.append(Record(topic, record.key, record.value, record.timestamp_ms))
        filled = blocks.take()
        self.made(topic)
        most = max(1, Pace().commit_bytes // filled[0].size)
        return [EncodedRecords(filled[start : start + most]) for start in range(0, len(filled), most)]

    def made(self, topic: str) -> None:
        """See to it that there is such a topic."""
        if topic not in self.cluster.admin().list_topics(timeout=30).topics:
            self.cluster.create_topic(topic)

    def taken(self) -> list[StoredRecord]:
        """Return what `kafka` wrote, which it does first where it was not its turn yet."""
        if not self.records:
            self.kafka()
        return self.records

    def producer(self) -> Figures:
        """Send the same records without transactions, by the same settings of the client."""
        records = self.taken()
        self.made("plain")
        made = Clients(KafkaLogConfig(bootstrap_servers=self.cluster.bootstrap_servers)).producer(None)
        return measured(partial(send, made, records), len(records))

    def debezium(self) -> Figures:
        """Let Debezium produce Avro into the same broker."""
        self.cluster.clear()
        self.cluster.create_topic(TOPIC)
        self.backlog.copy_slot("theirs")
        settings = _settings(self.backlog.server, slot_name="theirs", snapshot_mode="no_data")
        drained = debezium.drain(
            settings, TOPIC, self.backlog.records, into=self.cluster.bootstrap_servers, timeout=600
        )
        drop_slot(self.backlog.connection, "theirs")
        return plain(drained.figures(self.backlog.rows))

    def last_byte(self) -> float:
        """Return when the last byte came to the topic: the marker of the last commit."""
        data = self.cluster.brokers[0].folder / "data" / f"{TOPIC}-0"
        return max(path.stat().st_mtime for path in data.glob("*.log"))


def plain(figures: Figures) -> Figures:
    """Return what all contenders have."""
    return {name: figures[name] for name in ("rows_per_second", "client_us_per_row", "peak_mb")}


def measured(work: Callable[[], None], count: int) -> Figures:
    """Return how quickly this process, which is larger than what it runs, worked at so many records."""
    began, cpu = time.time(), time.process_time()
    work()
    seconds, cpu = time.time() - began, time.process_time() - cpu
    return {"rows_per_second": count / seconds, "client_us_per_row": cpu / count * 1e6}


def commit_all(writer: Sink[Record], commits: list[EncodedRecords]) -> None:
    """Write and commit one after the other."""
    for number, records in enumerate(commits):
        writer.write(records)
        writer.commit({"number": number})


def send(producer: Producer, records: list[StoredRecord]) -> None:
    """Send records as fast as the client takes them, and wait for all answers."""
    for record in records:
        while True:
            try:
                producer.produce("plain", record.value, record.key, 0, None, None, record.timestamp_ms)
                break
            except BufferError:
                producer.poll(0.01)
    if producer.flush(120):
        raise SystemExit("the producer did not get rid of all records")


@contextmanager
def kafka_worker(cluster: KafkaCluster, url: str, table: str) -> Iterator[Worker]:
    """A worker into Kafka, not started yet."""
    folder = Path(tempfile.mkdtemp(prefix="tailrace-bench-"))
    options = {"slot": subject.SLOT_NAME, "publication": subject.SLOT_NAME, "snapshot": "never"}
    log_options = {"type": "kafka", "bootstrap_servers": cluster.bootstrap_servers}
    made = Worker(folder, url, (table,), options=options, log_options=log_options)
    made.write_config()
    try:
        yield made
    finally:
        made.kill(with_tasks=True)
        shutil.rmtree(folder, ignore_errors=True)


def read_kafka(servers: str, count: int, delays: latency.Delays) -> None:
    """Follow the topic until so many rows came, and tell how late each was."""
    log = KafkaLog(KafkaLogConfig(bootstrap_servers=servers))
    decoder = Decoder(log.registry())
    found: list[int] = []
    with closing(log.reader([latency.TOPIC], start="latest")) as reader:
        reader.open(None)
        delays.put(None)
        heard = time.monotonic()
        while len(found) < count:
            records = reader.poll(0.5).items
            now = time.time_ns()
            found += [now - decoder.value(record.value)["after"]["sent"] for record in records]  # type: ignore[index]
            heard = time.monotonic() if records else heard
            if time.monotonic() - heard > latency.PATIENCE:
                raise SystemExit(f"{len(found)} of {count} rows came")
        delays.put(found)


def has_records(log: KafkaLog, topic: str) -> bool:
    """Whether there is something in a topic; not where its brokers are still sorting themselves."""
    with suppress(Retriable):
        return any(info.topic == topic and info.next_offset for info in log.partitions())
    return False


def late(cluster: KafkaCluster, field: latency.Field) -> Figures:
    """Measure how late rows are in Kafka."""
    cluster.clear()
    dsn = field.server.dsn()
    with field.server.connect() as connection, kafka_worker(cluster, dsn, "public.ticks") as worker:
        connection.execute(f"SELECT pg_create_logical_replication_slot('{subject.SLOT_NAME}', 'pgoutput')")
        worker.start()
        latency.write(dsn, field.next_id, 1, rate=1, at_once=1)
        field.next_id += 1
        log = KafkaLog(KafkaLogConfig(bootstrap_servers=cluster.bootstrap_servers))
        deadline = time.monotonic() + latency.PATIENCE
        while not has_records(log, latency.TOPIC):
            if time.monotonic() > deadline:
                raise SystemExit(f"the first row did not come: {worker.last_words()}")
            time.sleep(0.1)
        figures = field.measure(read_kafka, cluster.bootstrap_servers, at_once=1)
        worker.stop()
        latency.drop(connection, subject.SLOT_NAME)
    return figures


def main() -> None:
    """Measure, and publish."""
    options = subject.parser(__doc__ or "", rows=200_000)
    options.add_argument(
        "--against", default="bundled,sender,prepared,producer,debezium", help="contenders beside `kafka`"
    )
    given = options.parse_args()
    against = given.against.split(",")
    if "debezium" in against:
        debezium.prepare()
    cluster = KafkaCluster(require())
    cluster.brokers[0].java_options, cluster.brokers[0].heap_mb = [], 512
    with cluster, subject.server(given.pg, **SETTINGS) as server:
        rates, delays = contests(given, cluster, server)
    goals = [
        Goal(f"exactly once against {GOALS[name][0]}", "stream", rates.ratios("kafka", name, "rows_per_second"),
             at_least=GOALS[name][1])
        for name in GOALS
        if name in against
    ]  # fmt: skip
    goals.append(Goal("latency, p99", "latency", delays.values("kafka", "p99_ms"), at_most=50, unit=" ms"))
    measurement.publish(
        "kafka_stream",
        [*rates.medians(), *delays.medians()],
        about=__doc__ or "",
        goals=goals,
        every_run=[*rates.every_run(), *delays.every_run()],
        parameters=vars(given),
        debezium=debezium.REQUIREMENT,
    )


def contests(given: argparse.Namespace, cluster: KafkaCluster, server: PostgresServer) -> tuple[Contest, Contest]:
    """Hold both: of rates, and of delays."""
    with server.connect() as connection:
        field = Field(cluster, _load(server, connection, given.rows))
        contenders = {name: getattr(field, name) for name in ("kafka", *given.against.split(","))}
        field.kafka()
        rates = hold("stream", contenders, rounds=given.rounds)
        drop_slot(connection, BASE)
        connection.execute(latency.TABLE)
        connection.execute(f"ALTER PUBLICATION {subject.SLOT_NAME} SET TABLE ticks")
        ticks = latency.Field(server, 1000, min(given.rows, 6000))
        return rates, hold("latency", {"kafka": partial(late, cluster, ticks)}, rounds=given.rounds)


if __name__ == "__main__":
    main()
