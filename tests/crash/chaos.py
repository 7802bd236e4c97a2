"""What is done to the worker, its connection and its database, in an order drawn from a seed."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from crash.place import Place
from crash.side import Side
from crash.topics import committed
from crash.worker import Worker, send_signal
from servers.proxy import TcpProxy

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Plan:
    """How many blows of each sort, and the seconds over which they are spread."""

    kills: int = 100
    restarts: int = 10
    cuts: int = 20
    freezes: int = 4
    stops: int = 4
    rotations: int = 0
    broker_blows: int = 0
    seconds: float = 600.0


@dataclass(slots=True)
class Chaos:
    """Deals the blows of a plan, one after the other, from one thread. `dealt` counts them."""

    worker: Worker
    side: Side
    proxy: TcpProxy
    plan: Plan
    seed: int
    place: Place
    dealt: Counter[str] = field(default_factory=Counter)
    _killed: set[int] = field(default_factory=set)

    def schedule(self) -> list[str]:
        """Return the blows in the order of the seed."""
        plan = self.plan
        rng = random.Random(f"schedule {self.seed}")
        blows: list[str] = []
        ways: tuple[tuple[int, tuple[str, ...]], ...] = (
            (plan.kills, ("kill_task", "kill_task", "kill_task", "kill_task_twice", "kill_worker", "kill_all")),
            (plan.restarts, ("restart_fast", "restart_immediate", "kill_server")),
            (plan.cuts, ("cut", "cut", "cut_twice", "refuse", "deaf")),
            (plan.freezes, ("freeze_task", "replace_frozen")),
            (plan.stops, ("stop_worker",)),
            (plan.rotations, ("rotate", "purge")),
            (plan.broker_blows, tuple(self.place.blows())),
        )
        for number, names in ways:
            # Each way in turn, so that also a short plan has them all.
            blows += [names[n % len(names)] for n in range(number)]
        rng.shuffle(blows)
        return blows

    def run(self, stopping: threading.Event) -> None:
        """Deal all blows, and leave the worker running, aware of each killed task; takes the seconds of the plan."""
        rng = random.Random(f"pauses {self.seed}")
        blows = self.schedule()
        begin = time.monotonic()
        for number, name in enumerate(blows, 1):
            due = begin + self.plan.seconds * (number - 1 + rng.random()) / len(blows)
            if stopping.wait(max(0.0, due - time.monotonic())):
                break
            self._revive()
            log.info("blow", name=name, number=number, of=len(blows), seconds=round(time.monotonic() - begin, 2))
            if name in self.place.blows():
                self.place.deal(name, rng)
            else:
                getattr(self, f"_{name}")(rng)
            self.dealt[name] += 1
        stopping.wait(max(0.0, begin + self.plan.seconds - time.monotonic()))
        self._revive()
        self._wait_for_burials()

    def _wait_for_burials(self) -> None:
        """Wait until the worker has noticed its killed tasks: one that it finds dead at a stop did not drain."""
        deadline = time.monotonic() + 120
        while self._killed.intersection(self.worker.task_pids()) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _revive(self) -> None:
        if not self.worker.running:
            log.warning("worker is gone, starting it", last_words=self.worker.last_words(5))
            self.dealt["worker_was_gone"] += 1
            self.worker.start()

    def _kill_task(self, rng: random.Random) -> None:
        # Wait for one to be there: a blow at nothing would count for nothing.
        pids = self.worker.wait_for_task(timeout=20)
        pid = rng.choice(pids) if pids else None
        if pid is None or not send_signal(pid, signal.SIGKILL):
            self.dealt["no_task_to_kill"] += 1
        else:
            self._killed.add(pid)

    def _kill_task_twice(self, rng: random.Random) -> None:
        self._kill_task(rng)
        time.sleep(rng.random())
        self._kill_task(rng)

    def _kill_worker(self, _: random.Random) -> None:
        self.worker.kill(with_tasks=False)
        self.worker.start()

    def _kill_all(self, _: random.Random) -> None:
        self.worker.kill(with_tasks=True)
        self.worker.start()

    def _stop_worker(self, _: random.Random) -> None:
        self.worker.wait_for_task(timeout=30)
        code = self.worker.stop()
        self.dealt[f"stopped_with_{code}"] += 1
        self.worker.start()

    def _freeze_task(self, rng: random.Random) -> None:
        pids = self.worker.task_pids()
        frozen = [pid for pid in pids if send_signal(pid, signal.SIGSTOP)]
        time.sleep(rng.uniform(0.5, 3))
        for pid in frozen:
            send_signal(pid, signal.SIGCONT)

    def _replace_frozen(self, rng: random.Random) -> None:
        """A task that is thought dead, and comes back while its successor works: it must not write any more."""
        frozen = [pid for pid in self.worker.task_pids() if send_signal(pid, signal.SIGSTOP)]
        self.worker.kill(with_tasks=False)
        self.worker.start()
        time.sleep(rng.uniform(1, 5))
        for pid in frozen:
            send_signal(pid, signal.SIGCONT)

    def _cut(self, _: random.Random) -> None:
        self.proxy.cut()

    def _cut_twice(self, rng: random.Random) -> None:
        self.proxy.cut()
        time.sleep(rng.random())
        self.proxy.cut()

    def _refuse(self, rng: random.Random) -> None:
        self._for_a_while(self.proxy.refuse, rng)

    def _deaf(self, rng: random.Random) -> None:
        self._for_a_while(self.proxy.go_deaf, rng)

    def _for_a_while(self, begin: Callable[[], None], rng: random.Random) -> None:
        begin()
        time.sleep(rng.uniform(0.2, 3))
        self.proxy.resume()

    def _restart_fast(self, _: random.Random) -> None:
        # A fast stop waits for the walsender, which waits for a client that cannot hear: hence the short time.
        self.side.server.stop("fast", timeout=10)
        self.side.server.start()

    def _restart_immediate(self, _: random.Random) -> None:
        self.side.server.stop("immediate")
        self.side.server.start()

    def _kill_server(self, _: random.Random) -> None:
        self.side.server.kill()
        self.side.server.start()

    def _rotate(self, _: random.Random) -> None:
        self.side.rotate(None, purge=False)

    def _purge(self, _: random.Random) -> None:
        self.side.rotate(committed(self.place), purge=True)
