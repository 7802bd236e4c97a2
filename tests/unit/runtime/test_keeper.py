"""The keeper of a worker's seat, in a group that does what the test says: who may run what, and until when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tailrace.config.settings import load_settings
from tailrace.errors import ConfigError
from tailrace.log.seat import Occupant
from tailrace.runtime.build import TaskSpec, plan_worker
from tailrace.runtime.group import digest
from tailrace.runtime.keeper import Keeper, KeeperMessage, KeeperOrder, KeeperSpec, Orders, differences
from tailrace.runtime.state import WorkerState

SESSION = 2.0


class Seat:
    """A seat whose group is the test: `then` is called within the next poll, in the keeper's thread."""

    def __init__(self) -> None:
        self.lease = 0.0
        self.renewing = True
        self.left = False
        self.posted: list[bytes] = []
        self._occupant: Occupant | None = None
        self._then: list[Callable[[Occupant], None]] = []

    def join(self, tasks: Sequence[str], occupant: Occupant) -> None:
        assert list(tasks) == ["a", "b"]
        self._occupant = occupant

    def poll(self, timeout: float) -> None:
        assert self._occupant is not None
        self.renew()
        while self._then:
            self._then.pop(0)(self._occupant)
        time.sleep(timeout)

    def renew(self) -> None:
        if self.renewing:
            self.lease = time.monotonic() + SESSION

    def post(self, state: bytes) -> None:
        self.posted.append(state)

    def leave(self) -> None:
        assert self._occupant is not None
        self._occupant.release(["a", "b"])
        self.left = True

    def then(self, step: Callable[[Occupant], None]) -> None:
        self._then.append(step)


class Worker:
    """The worker's side: hears the keeper, gives orders and signs of life."""

    def __init__(self) -> None:
        self.seat = Seat()
        self.heard: list[KeeperMessage] = []
        self._reading, self._writing = os.pipe()
        self._alive, self._living = os.pipe()
        spec = KeeperSpec(
            log={}, folder=Path("/"), group="g", worker="w", session=SESSION, patience=5.0,
            digests={"b": "2", "a": "1"}, tasks=self._alive,
        )  # fmt: skip
        keeper = Keeper(spec, self.seat, self.heard.append, Orders(self._reading))
        self._keeper = threading.Thread(target=keeper.run)
        self._signs = threading.Thread(target=self._sign)
        self._silent = threading.Event()
        self._keeper.start()
        self._signs.start()

    def order(self, order: KeeperOrder) -> None:
        os.write(self._writing, order.model_dump_json(exclude_defaults=True).encode() + b"\n")

    def fall_silent(self) -> None:
        self._silent.set()
        self._signs.join()

    def die(self) -> None:
        self.fall_silent()
        os.close(self._writing)
        self._writing = -1

    def tasks_end(self) -> None:
        os.close(self._living)
        self._living = -1

    def told(self, what: str) -> list[str]:
        return [name for message in list(self.heard) for name in getattr(message, what)]

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60.0
        while not condition():
            assert time.monotonic() < deadline, self.heard
            time.sleep(0.01)

    def close(self) -> None:
        if self._writing >= 0:
            self.order(KeeperOrder(leave=True))
        self._keeper.join(60.0)
        assert not self._keeper.is_alive()
        self.fall_silent()
        for descriptor in (self._reading, self._writing, self._alive, self._living):
            if descriptor >= 0:
                os.close(descriptor)

    def _sign(self) -> None:
        while not self._silent.wait(0.1):
            self.order(KeeperOrder(sign=time.monotonic()))


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def test_what_the_group_gives_comes_with_a_lease(worker: Worker) -> None:
    worker.seat.then(lambda keeper: keeper.gained(["b"]))
    worker.wait(lambda: worker.told("gained") == ["b"])
    message = next(message for message in worker.heard if message.gained)
    assert message.lease is not None
    assert message.lease <= time.monotonic() + SESSION / 2, "not for longer than half a session after a sign of life"


def test_tasks_are_killed_when_the_lease_ends_and_come_back_with_the_next(worker: Worker) -> None:
    worker.seat.then(lambda keeper: keeper.gained(["a", "b"]))
    worker.wait(lambda: worker.told("gained") == ["a", "b"])
    worker.seat.renewing = False
    worker.wait(lambda: worker.told("lost") == ["a", "b"])
    assert time.monotonic() >= max(message.lease or 0.0 for message in worker.heard)
    worker.seat.renewing = True
    worker.wait(lambda: worker.told("gained") == ["a", "b"] * 2)


def test_others_get_a_task_once_the_worker_has_released_it(worker: Worker) -> None:
    released = threading.Event()

    def revoke(keeper: Occupant) -> None:
        keeper.release(["a"])
        released.set()

    worker.seat.then(lambda keeper: keeper.gained(["a", "b"]))
    worker.wait(lambda: len(worker.told("gained")) == 2)
    worker.seat.then(revoke)
    worker.wait(lambda: worker.told("leaving") == ["a"])
    leases = [message.lease for message in worker.heard]
    worker.wait(lambda: [message.lease for message in worker.heard] != leases)
    assert not released.is_set(), "the lease of b went on, and a still runs"
    worker.order(KeeperOrder(released="a"))
    worker.wait(released.is_set)
    assert worker.told("lost") == []


def test_what_is_lost_is_killed(worker: Worker) -> None:
    worker.seat.then(lambda keeper: keeper.gained(["a", "b"]))
    worker.wait(lambda: len(worker.told("gained")) == 2)
    worker.seat.then(lambda keeper: keeper.lost(["b"]))
    worker.wait(lambda: worker.told("lost") == ["b"])


def test_the_seat_of_a_dead_worker_is_given_back_once_its_tasks_have_ended(worker: Worker) -> None:
    worker.seat.then(lambda keeper: keeper.gained(["a"]))
    worker.wait(lambda: worker.told("gained") == ["a"])
    worker.die()
    worker.wait(lambda: any(message.failure for message in worker.heard))
    if time.monotonic() < max(message.lease or 0.0 for message in worker.heard):
        assert not worker.seat.left, "a task may still run"
    worker.tasks_end()
    worker.wait(lambda: worker.seat.left)


def test_a_worker_that_falls_silent_loses_its_seat_when_its_tasks_have_lost_their_lease(worker: Worker) -> None:
    worker.seat.then(lambda keeper: keeper.gained(["a"]))
    worker.wait(lambda: worker.told("gained") == ["a"])
    worker.fall_silent()
    worker.wait(lambda: worker.seat.left)
    assert time.monotonic() >= max(message.lease or 0.0 for message in worker.heard)
    assert any("no sign of life" in message.failure.message for message in worker.heard if message.failure)


def test_a_worker_that_leaves_does_so_at_once(worker: Worker) -> None:
    worker.seat.then(lambda keeper: keeper.gained(["a"]))
    worker.wait(lambda: worker.told("gained") == ["a"])
    worker.order(KeeperOrder(state='{"x": 1}', leave=True))
    worker.wait(lambda: worker.seat.left)
    assert worker.seat.posted == [b'{"x": 1}']


def test_workers_with_other_settings_are_named() -> None:
    now = datetime.now(UTC)
    other = WorkerState(
        pid=1, version="1", config="c", started=now, updated=now, tasks=[], digests={"a": "1", "b": "x"}
    )
    assert differences({"a": "1", "b": "2", "c": "3"}, {"w2": other}) == [
        "worker w2 has other settings for b: give both the same config file"
    ]


def test_a_new_password_is_no_other_setting() -> None:
    def spec(password: str, **more: object) -> TaskSpec:
        block: dict[str, object] = {"type": "postgres", "url": f"postgresql://u:{password}@h/d", **more}
        return TaskSpec(
            name="shop", kind="source", block_name="shop", block=block, log={}, folder=Path("/"),
            worker_folder=Path("/"), secrets=frozenset([password]),
        )  # fmt: skip

    assert digest(spec("first-one")) == digest(spec("second-one"))
    assert digest(spec("first-one")) != digest(spec("first-one", tables=["*"]))


def test_a_bundled_log_cannot_be_shared(tmp_path: Path) -> None:
    file = tmp_path / "tailrace.yaml"
    file.write_text("log: {type: bundled, path: ./data}\nworker: {group: shop}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot share the tasks of a bundled log") as caught:
        plan_worker(load_settings(file))
    assert "kafka" in caught.value.hint


LEASED = """
import sys, time
from tailrace.runtime.lifeline import Lifeline
Lifeline(0, time.monotonic() + float(sys.argv[1]), sys.argv[2].encode()).follow(lambda: print("alone", flush=True), 0.1)
print("runs", flush=True)
time.sleep(60)
"""


def leased(seconds: float, rest: str = "") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", LEASED, str(seconds), rest], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_a_task_ends_with_its_lease() -> None:
    with leased(0.5) as process:
        assert process.wait(60) == -signal.SIGKILL


def test_a_task_runs_for_as_long_as_its_lease_is_renewed() -> None:
    with leased(0.0, rest=f"{time.monotonic() + 30.0}\n") as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"runs\n"
        process.stdin.write(f"{time.monotonic() + 0.5}\n".encode())
        process.stdin.flush()
        assert process.wait(60) == -signal.SIGKILL


def test_a_task_whose_worker_is_gone_ends_soon() -> None:
    with leased(30.0) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"runs\n"
        process.stdin.close()
        assert process.wait(60) == 1
        assert process.stdout.read() == b"alone\n"
