"""Several workers that share tasks, as their users know them: config files, `tailrace run`, signals, what is in Kafka.

Each task captures one table of one database, whose rows are numbered: its topic must tell 1, 2, 3 … once each.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import psycopg
import yaml

from tailrace.errors import Retriable
from tailrace.log.kafka.backend import KafkaLog
from tailrace.log.kafka.settings import KafkaLogConfig
from tailrace.runtime.keeper import states
from tailrace.runtime.state import WorkerState

TAILRACE = Path(sys.executable).parent / "tailrace"

SESSION = 6.0
"""The shortest that brokers allow unless told otherwise."""


@dataclass(slots=True)
class Member:
    """One worker, with a config file of its own that says the same as the others'."""

    config: Path
    output: Path
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert self._process is None
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [str(TAILRACE), "run", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env={**os.environ, "TAILRACE_LOG_LEVEL": "debug"},
            )  # fmt: skip

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it ended without having been asked to."""
        return self._process is not None and self._process.poll() is not None

    def stop(self, *, timeout: float = 60.0) -> int:
        """Ask it to end in order; return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(timeout)
        self._process = None
        return code

    def kill(self) -> None:
        """Kill the worker alone; what it has started has to notice."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def crash(self) -> None:
        """Kill the worker and all that it has started, as a machine does that loses its power."""
        if self._process is None or self.ended:
            self._process = None
            return
        processes = self.processes()
        self.hold()  # so that none of them sees another die
        for process in reversed(processes):
            _signal(process, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def processes(self) -> list[psutil.Process]:
        """The worker and all that it has started."""
        parent = psutil.Process(self.pid)
        return [parent, *parent.children(recursive=True)]

    def hold(self) -> None:
        """Let all of it stand still."""
        for process in self.processes():
            _signal(process, signal.SIGSTOP)

    def go_on(self) -> None:
        for process in self.processes():
            _signal(process, signal.SIGCONT)

    def said(self) -> str:
        return self.output.read_text(errors="replace") if self.output.exists() else ""


@dataclass
class Crew:
    """Workers on one database and one group; use it in a `with`. `servers` are where each of them finds Kafka."""

    folder: Path
    url: str
    group: str
    tasks: Sequence[str]
    servers: Sequence[str]
    session: float = SESSION
    members: list[Member] = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.members = [self._member(number, servers) for number, servers in enumerate(self.servers)]
        self.log = KafkaLog(KafkaLogConfig(bootstrap_servers=self.servers[0], group=self.group))
        self.writer = RowWriter(self.url, self.tasks)

    def _member(self, number: int, servers: str) -> Member:
        config = self.folder / f"worker-{number}.yaml"
        config.write_text(yaml.safe_dump(self.document(servers)))
        return Member(config, self.folder / f"worker-{number}.log")

    def document(self, servers: str) -> dict[str, object]:
        """Return what a worker's config file says."""
        connectors = {
            task: {
                "type": "postgres", "url": self.url, "topic_prefix": f"{self.group}-{task}",
                "tables": [f"public.{task}"], "format": "json", "slot": f"{self.group}_{task}",
            }
            for task in self.tasks
        }  # fmt: skip
        return {
            "log": {"type": "kafka", "bootstrap_servers": servers, "group": self.group},
            "worker": {"group": self.group, "session_timeout": self.session},
            "connectors": connectors,
        }

    def topic(self, task: str) -> str:
        return f"{self.group}-{task}.public.{task}"

    def start(self, *numbers: int) -> None:
        for number in numbers or range(len(self.members)):
            self.members[number].start()

    def states(self) -> dict[str, WorkerState]:
        """What the workers post, by name."""
        return states(dict(self.log.posted(self.group)))

    def owners(self) -> dict[str, int]:
        """By task that runs: the pid of the worker that says so, and has said so lately."""
        now = datetime.now(UTC)
        return {
            task.name: state.pid
            for state in self.states().values()
            if (now - state.updated).total_seconds() < self.session
            for task in state.tasks
            if task.state == "RUNNING"
        }

    def wait_shared(self, *numbers: int, timeout: float = 120.0) -> dict[str, int]:
        """Wait until every task runs, on these workers and as evenly as can be; return the owners."""
        pids = {self.members[number].pid for number in numbers or range(len(self.members))}
        least = len(self.tasks) // len(pids)
        most = least + (len(self.tasks) % len(pids) > 0)

        found: dict[str, int] = {}

        def shared() -> bool:
            owners = self.owners()
            found.clear()
            found.update(owners)
            counts = Counter(owners.values())
            return (
                set(owners) == set(self.tasks)
                and set(counts) == pids
                and all(least <= n <= most for n in counts.values())
            )

        self.wait(shared, "the tasks are shared out", timeout=timeout)
        return found

    def wait_flowing(self, *tasks: str, timeout: float = 90.0) -> None:
        """Wait until each of the tasks tells a row that was written after the call."""
        marks = {task: self.writer.written(task) for task in tasks or self.tasks}
        self.wait(
            lambda: all(max(self.numbers(task), default=0) > mark for task, mark in marks.items()),
            "rows flow",
            timeout=timeout,
        )

    def numbers(self, task: str) -> list[int]:
        """The row numbers that a topic tells, as a reader of committed records sees them."""
        names = {info.topic for info in self.log.partitions()}
        if self.topic(task) not in names:
            return []
        return [json.loads(record.key or b"{}")["id"] for record in self.log.records(self.topic(task), 0, 0)]

    def wait(self, condition: Callable[[], bool], what: str, *, timeout: float) -> None:
        """Wait for a condition; a broker that has no answer yet, for a topic that has just been made, is no answer."""
        deadline = time.monotonic() + timeout
        while not _holds(condition):
            ended = [member.output.name for member in self.members if member.ended]
            assert not ended, f"workers ended by themselves: {ended}\n{self.last_words()}"
            if time.monotonic() > deadline:
                raise AssertionError(f"in {timeout:.0f} s not: {what}\n{self.last_words()}")
            time.sleep(0.1)

    def check(self, *, timeout: float = 120.0) -> None:
        """Stop writing; every topic must come to tell every row once and in order, and nothing else."""
        written = self.writer.stop()
        wanted = {task: list(range(1, written[task] + 1)) for task in self.tasks}
        self.wait(
            lambda: all(len(self.numbers(task)) >= len(wanted[task]) for task in self.tasks),
            "all is told",
            timeout=timeout,
        )
        for task in self.tasks:
            numbers = self.numbers(task)
            assert numbers == wanted[task], f"{task}: {_difference(numbers, wanted[task])}\n{self.last_words()}"

    def last_words(self) -> str:
        return "\n".join(f"--- {member.output.name}\n{member.said()[-4000:]}" for member in self.members)

    def __enter__(self) -> Self:
        self.writer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.stop()
        for member in self.members:
            member.crash()


class RowWriter:
    """Writes numbered rows into the tables of the tasks, one after the other, until it is stopped."""

    PAUSE = 0.02

    def __init__(self, url: str, tasks: Sequence[str]) -> None:
        self._url = url
        self._tasks = tasks
        self._written = dict.fromkeys(tasks, 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rows")
        self._failed: BaseException | None = None

    def start(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            for task in self._tasks:
                connection.execute(f'CREATE TABLE "{task}" (id int PRIMARY KEY)'.encode())
        self._thread.start()

    def written(self, task: str) -> int:
        return self._written[task]

    def stop(self) -> dict[str, int]:
        """Return how many rows each table has."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._failed is not None:
            raise self._failed
        return dict(self._written)

    def _run(self) -> None:
        try:
            with psycopg.connect(self._url, autocommit=True) as connection:
                while not self._stop.wait(self.PAUSE):
                    for task in self._tasks:
                        number = self._written[task] + 1
                        connection.execute(f'INSERT INTO "{task}" VALUES (%s)'.encode(), [number])
                        self._written[task] = number
        except psycopg.Error as error:
            self._failed = error


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except Retriable:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _difference(found: list[int], wanted: list[int]) -> str:
    twice = [number for number, count in Counter(found).items() if count > 1]
    missing = sorted(set(wanted) - set(found))
    return (
        f"lost {missing[:10]} ({len(missing)}), twice {twice[:10]} ({len(twice)}), in order: {found == sorted(found)}"
    )
