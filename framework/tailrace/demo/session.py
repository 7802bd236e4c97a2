"""One demo, from an empty folder to its last words.

The shop trades in this thread, between two looks at what the worker has captured; the worker is a process of its own.
"""

from __future__ import annotations

import shlex
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from tailrace.codec.decoder import Decoder
from tailrace.demo.capture import Capture
from tailrace.demo.database import ShopConnection, ShopServer
from tailrace.demo.folder import DemoFolder, installed
from tailrace.demo.shop import Shop
from tailrace.demo.view import Glance, View
from tailrace.demo.worker import WorkerProcess
from tailrace.errors import Fatal
from tailrace.runtime.build import build_log
from tailrace.runtime.state import TaskState, read_state, state_file

TABLES = ("customers", "order_lines", "orders", "products")

TRADE_INTERVAL = 0.04
"""Seconds between transactions: busy to look at, and light on the machine."""

LOOK_INTERVAL = 0.25
"""Seconds between two looks at the log."""

CATCH_UP = 60.0
"""Seconds that the worker gets at the end to capture what is left: it is milliseconds behind, unless it is not well."""


class StopSignals:
    """While in force, Ctrl-C, SIGTERM and SIGHUP ask for a stop in good order; a second Ctrl-C insists."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._asked = False

    def __call__(self) -> bool:
        """Whether a stop was asked for."""
        return self._asked

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._ask) for number in self.SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: FrameType | None) -> None:
        if self._asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._asked = True


class Demo:
    """What runs in one demo; `trade` is the main part of it."""

    def __init__(self, shop: Shop, worker: WorkerProcess, capture: Capture, state_file: Path, view: View) -> None:
        self._shop = shop
        self._worker = worker
        self._capture = capture
        self._state_file = state_file
        self._view = view
        self._started = time.monotonic()
        self._rate = Rate()

    @property
    def seconds(self) -> float:
        """Seconds since the shop opened."""
        return time.monotonic() - self._started

    def trade(self, seconds: float | None, stopping: Callable[[], bool]) -> None:
        """Trade for `seconds` (None: for ever), or until `stopping` says so."""
        looked = float("-inf")
        while not stopping() and (seconds is None or self.seconds < seconds):
            self._shop.trade()
            if self.seconds >= looked + LOOK_INTERVAL:
                looked = self.seconds
                self.look()
            time.sleep(TRADE_INTERVAL)

    def look(self) -> None:
        """Read what was captured since the last look, and show it; raises `Fatal` if the worker is gone."""
        self._worker.check()
        self._capture.follow()
        self._rate.add(self.seconds, self._capture.events)
        trades = self._shop.trades
        self._view.show(
            Glance(
                seconds=self.seconds,
                committed=trades.committed,
                rolled_back=trades.rolled_back,
                events=self._capture.events,
                events_per_second=self._rate.per_second,
                task=self._task(),
                topics=self._capture.topics,
                last=tuple(self._capture.last),
            )
        )

    def compare(self, connection: ShopConnection) -> str:
        """Wait until every topic has as many keys as its table has rows; return that in words.

        Raises `Fatal` if that does not come true: then something was lost or invented.
        """
        rows = {}
        for table in TABLES:
            [[rows[table]]] = connection.rows(f"SELECT count(*) FROM {table}")
        deadline = time.monotonic() + CATCH_UP
        while (keys := self._keys()) != rows:
            if time.monotonic() > deadline:
                raise Fatal(f"the topics do not hold what the tables do: rows {rows}, keys {keys}")
            time.sleep(0.05)
            self.look()
        return f"compared: {sum(rows.values())} rows in {len(rows)} tables, and as many keys in their topics"

    def wait_for_sinks(self, topics_prefix: str) -> None:
        """Wait until every sink has committed all that was captured; raises `Fatal` where one never has."""
        deadline = time.monotonic() + CATCH_UP
        while lagging := self._lagging(topics_prefix):
            if time.monotonic() > deadline:
                raise Fatal(f"not all that was captured has arrived in {', '.join(lagging)}")
            time.sleep(0.05)
            self.look()

    def compare_replica(self, connection: ShopConnection, file: Path) -> None:
        """Raise `Fatal` unless every table of the replica has as many rows as the shop's."""
        for table in TABLES:
            [[rows]] = connection.rows(f"SELECT count(*) FROM {table}")
            if (there := _rows_of(file, table)) != rows:
                raise Fatal(f"the replica does not hold what table {table} does: {there} rows of {rows}")

    def _lagging(self, topics_prefix: str) -> list[str]:
        """Return the sinks that have not committed the end of every topic, as the worker tells once a second."""
        ends = {f"{topics_prefix}{table}-0": topic.next_offset for table, topic in self._capture.topics.items()}
        state = read_state(self._state_file)
        sinks = [task for task in state.tasks if task.kind == "sink"] if state is not None else []
        return [task.name for task in sinks if task.durable != ends]

    def _keys(self) -> dict[str, int]:
        topics = self._capture.topics
        return {table: len(topics[table].live) if table in topics else 0 for table in TABLES}

    def _task(self) -> TaskState | None:
        state = read_state(self._state_file)
        return state.tasks[0] if state is not None and state.tasks else None


class Rate:
    """A rate over the last few seconds, from a running total."""

    WINDOW = 3.0

    def __init__(self) -> None:
        self._totals: list[tuple[float, int]] = []

    def add(self, seconds: float, total: int) -> None:
        """Note the total at a moment."""
        self._totals.append((seconds, total))
        while self._totals[0][0] < seconds - self.WINDOW:
            del self._totals[0]

    @property
    def per_second(self) -> float:
        """The rate between the first and the last total in the window."""
        (first, before), (last, after) = self._totals[0], self._totals[-1]
        return (after - before) / (last - first) if last > first else 0.0


def run_demo(
    path: Path, database: Callable[[], ShopServer], *, seconds: float | None, view: View, command: str
) -> None:  # fmt: skip
    """Run a demo of `database` in the folder `path`, for `seconds` or until a signal.

    `command` is how to call Tailrace. Raises `Fatal` where the database's programs are missing, before all else.
    """
    server = database()
    folder = DemoFolder(path)
    if (moved := folder.prepare()) is not None:
        view.say(f"the earlier demo in {path} is now in {moved}")
    with ExitStack() as stack, StopSignals() as stopping:
        view.say(f"starting {server.type}")
        stack.enter_context(server)
        connection = stack.enter_context(server.connect())
        shop = Shop(connection)
        shop.open()
        folder.write_config(server.type, server.namespace, server.url)
        view.say(f"starting the worker, its log is {folder.worker_log}")
        worker = WorkerProcess(folder)
        stack.callback(worker.stop)
        capture = stack.enter_context(closing(_capture(folder, server.namespace)))
        stack.enter_context(closing(view))
        demo = Demo(shop, worker, capture, state_file(folder.path), view)
        demo.trade(seconds, stopping)
        compared = demo.compare(connection)
        demo.wait_for_sinks(_prefix(server.namespace))
        demo.compare_replica(connection, folder.replica)
        view.close()
        _end(worker, view)
        trades = shop.trades
        view.say(
            f"stopped after {demo.seconds:.0f} s: {trades.committed} transactions, {trades.rolled_back} rolled back;"
            f" {capture.events} events in {len(capture.topics)} topics"
        )
        view.say(compared)
    for line in last_words(folder, command, server.namespace):
        view.say(line)


def last_words(folder: DemoFolder, command: str, namespace: str) -> list[str]:
    """Return the commands that look at what was captured, as they can be pasted into this folder's shell."""
    path = shlex.quote(str(folder.path))
    prefix = _prefix(namespace)
    return [
        "look at what was captured:",
        f"  {command} topics --path {path}",
        f"  {command} tail {prefix}orders --path {path} --max 5",
        f"  {command} schemas list --path {path}",
        f"  {command} schemas show {prefix}orders-value --path {path}",
        "and at what the sinks made of it, an index, a replica and an archive:",
        f"  {command} search {shlex.quote(str(folder.config))} rain --topic '{prefix}products'",
        _query("sqlite3", f"sqlite3.connect({str(folder.replica)!r}).execute({REPLICA_QUERY!r}).fetchall()"),
        *(
            [_query("duckdb", f"duckdb.sql({_archive_query(folder, prefix)!r})")]
            if installed("duckdb", "pyarrow", "fsspec")
            else []
        ),
    ]


REPLICA_QUERY = "SELECT status, count(*) FROM orders GROUP BY status"


def _prefix(namespace: str) -> str:
    return f"shop.{namespace}."


def _archive_query(folder: DemoFolder, prefix: str) -> str:
    files = folder.archive / f"{prefix}orders" / "**" / "*.parquet"
    return f'SELECT op, count(*) AS changes FROM "{files}" GROUP BY op ORDER BY op'


def _query(module: str, expression: str) -> str:
    return f"  {shlex.quote(sys.executable)} -c {shlex.quote(f'import {module}; print({expression})')}"


def _rows_of(file: Path, table: str) -> int:
    """Return how many rows a table of the replica has; 0 where it is not there yet."""
    if not file.exists():
        return 0
    with closing(sqlite3.connect(f"file:{file.absolute()}?mode=ro", uri=True)) as database:
        try:
            [count] = database.execute(f"SELECT count(*) FROM {table}").fetchone()
        except sqlite3.OperationalError:
            return 0
    return int(count)


def _capture(folder: DemoFolder, namespace: str) -> Capture:
    log = build_log({"type": "bundled", "path": "."}, folder.path.absolute())
    prefix = _prefix(namespace)
    return Capture(log.reader([f"{prefix}*"]), prefix, Decoder(log.registry()).plain)


def _end(worker: WorkerProcess, view: View) -> None:
    if (code := worker.stop()) != 0:
        view.say(f"the worker ended with exit code {code}")
