"""Several workers that share tasks, as their users know them: config files, `tailrace run`, signals, what is in Kafka.

Each source captures one table, whose changes are known (`change.py`): its topic must tell every one of them once, in
order, and what a snapshot told of the rows before them must make a whole with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import psutil
import yaml

from cluster.change import Told, changes, faults
from cluster.origin import Origin, RowWriter
from tailrace.codec.decoder import Decoder
from tailrace.errors import Retriable
from tailrace.event import StoredRecord
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
    def started(self) -> bool:
        return self._process is not None

    @property
    def ended(self) -> bool:
        """Whether it ended without having been asked to."""
        return self._process is not None and self._process.poll() is not None

    def stop(self, *, timeout: float = 120.0) -> int:
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
    """Workers of one group, a source for each of `origins` by name; use it in a `with`.

    `servers` are where each worker finds Kafka. Tables have `old` rows before anything is captured.
    """

    folder: Path
    group: str
    origins: Mapping[str, Origin]
    servers: Sequence[str]
    session: float = SESSION
    old: int = 0
    more: Mapping[str, object] = field(default_factory=dict)
    """Further blocks of the config file; those of `log` are beside its own."""
    sinks: Sequence[str] = ()
    """Names of the tasks that `more` has beside the sources."""
    members: list[Member] = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.members = [self._member(number, servers) for number, servers in enumerate(self.servers)]
        self.log = KafkaLog(KafkaLogConfig(bootstrap_servers=self.servers[0], group=self.group))
        self._decoder = Decoder(self.log.registry())
        self.writer = RowWriter(self.origins, self.old)
        self._told: dict[str, dict[int, list[Told]]] = {}
        self._next: dict[tuple[str, int], int] = {}

    @property
    def tasks(self) -> Sequence[str]:
        return [*self.origins, *self.sinks]

    def _member(self, number: int, servers: str) -> Member:
        config = self.folder / f"worker-{number}.yaml"
        config.write_text(yaml.safe_dump(self.document(servers)))
        return Member(config, self.folder / f"worker-{number}.log")

    def document(self, servers: str) -> dict[str, object]:
        """Return what a worker's config file says."""
        log = {"type": "kafka", "bootstrap_servers": servers, "group": self.group}
        connectors = {
            task: {"format": "json", **origin.settings(self.group, task)} for task, origin in self.origins.items()
        }
        return {
            "worker": {"group": self.group, "session_timeout": self.session},
            "connectors": connectors,
            **self.more,
            "log": {**log, **cast("Mapping[str, object]", self.more.get("log", {}))},
        }

    def topic(self, task: str) -> str:
        return f"{self.group}-{task}.{self.origins[task].schema}.{task}"

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

    def owner(self, task: str) -> Member:
        """Return the worker that has a task, once one says so."""
        found: list[Member] = []

        def owned() -> bool:
            pid = self.owners().get(task)
            found[:] = [member for member in self.members if member.started and member.pid == pid]
            return bool(found)

        self.wait(owned, f"{task} runs", timeout=120.0)
        return found[0]

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

    def wait_flowing(self, *tasks: str, timeout: float = 120.0) -> None:
        """Wait until each of the sources tells a change that was made after the call."""
        marks = {task: self.writer.turns(task) for task in tasks or self.origins}

        def flowing(task: str) -> bool:
            return any((each.v or 0) > marks[task] for each in self.told(task) if each.op != "r")

        self.wait(lambda: all(flowing(task) for task in marks), "changes flow", timeout=timeout)

    def told(self, task: str) -> list[Told]:
        """What a topic tells, as a reader of committed records sees it: in order within each partition."""
        topic = self.topic(task)
        if task not in self._told:
            there = [info.partition for info in self.log.partitions() if info.topic == topic]
            if not there:
                return []
            self._told[task] = {partition: [] for partition in there}
        for partition, told in self._told[task].items():
            for record in self.log.records(topic, partition, self._next.get((topic, partition), 0)):
                self._next[topic, partition] = record.offset + 1
                if record.value is not None:  # a tombstone repeats the delete before it
                    told.append(self._change(record))
        return [each for told in self._told[task].values() for each in told]

    def _change(self, record: StoredRecord) -> Told:
        key, value = cast("Any", self._decoder.value(record.key)), cast("Any", self._decoder.value(record.value))
        return Told(value["op"], key["id"], None if value["after"] is None else value["after"]["v"])

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
        """Stop writing; every topic must come to tell every change once and in order, and nothing else."""
        turns = self.writer.stop()
        made = {
            task: [each for turn in range(1, turns[task] + 1) for each in changes(turn, self.old)] for task in turns
        }
        self.wait(
            lambda: all(self._whole(task) for task in made), "the topics hold what the tables hold", timeout=timeout
        )
        for task, wanted in made.items():
            fault = faults(list(self._told[task].values()), wanted, self.old)
            assert not fault, f"{self.topic(task)}: {fault}\n{self.last_words()}"

    def _whole(self, task: str) -> bool:
        held: dict[int, int] = {}
        for each in self.told(task):
            if each.v is None:
                held.pop(each.id, None)
            else:
                held[each.id] = each.v
        return held == self.origins[task].rows(task)

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
