"""Tasks that share a sink, under many schedules: kills at every step, and other numbers of tasks at any time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tailrace.codec.delivery import Delivery
from tailrace.errors import Retriable
from tailrace.log.share import Share
from tailrace.position import Position
from tailrace.runtime.sharing import SharedSink, Standing, offsets_of
from tailrace.sink import Sink

PARTITIONS = [("orders", number) for number in range(4)] + [("people", 0), ("things", 0)]
SCHEDULES = 500
STEPS = 60

Item = tuple[str, int]
"""A partition, and an offset in it."""


class Killed(BaseException):
    """What a `kill -9` is to a process."""


@dataclass
class Place:
    epoch: int = 0
    position: Position | None = None


@dataclass
class World:
    """A destination that tells its writers apart by epochs, and a topic that grows; any call may be the last one."""

    random: random.Random
    places: dict[str, Place] = field(default_factory=dict)
    stored: list[Item] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=lambda: {f"{topic}-{number}": 0 for topic, number in PARTITIONS})
    processes: list[Process] = field(default_factory=list)
    tasks: int = 1
    depth: int = 0
    calm: bool = False
    mistake: str = ""

    def happen(self) -> None:
        """Let something happen between two calls of whoever is at work: its death, or what others do."""
        if self.calm:
            return
        if self.random.random() < 0.08:
            raise Killed
        if self.depth < 3 and self.random.random() < 0.3:
            self.depth += 1
            self.step()
            self.depth -= 1

    def step(self) -> None:
        choice = self.random.random()
        if choice < 0.1:
            self.tasks = self.random.randint(1, 4)  # those of before may still be at work
        elif choice < 0.5:
            self.start(Share(self.random.randrange(self.tasks), self.tasks))
        elif choice < 0.6:
            name = self.random.choice(list(self.ends))
            self.ends[name] += self.random.randint(1, 5)
        elif idle := [process for process in self.processes if not process.busy]:
            self.work(self.random.choice(idle))

    def start(self, share: Share) -> None:
        process = Process(self, share)
        try:
            process.open()
        except (Retriable, Killed):
            return
        self.processes.append(process)

    def work(self, process: Process) -> None:
        process.busy = True
        try:
            process.turn()
        except (Retriable, Killed):
            self.processes.remove(process)
        finally:
            process.busy = False


class Destination:
    """A `Sink` whose items are texts and offsets rather than deliveries."""

    def __init__(self, world: World, *, fencing: bool = True) -> None:
        self._world = world
        self._fencing = fencing
        self._place = Place()
        self._epoch = -1
        self._held: list[Item] = []

    def open(self, task: str) -> Position | None:
        self._world.happen()
        self._place = self._world.places.setdefault(task, Place())
        self._place.epoch += self._fencing
        self._epoch = self._place.epoch
        self._held = []
        position = self._place.position
        self._world.happen()
        return position

    def hold(self, items: Sequence[Item]) -> None:
        self._held += items

    def write(self, items: Sequence[Delivery]) -> None:
        assert not items, "the test holds items back by itself"

    def commit(self, position: Position) -> None:
        self._world.happen()
        if self._place.epoch != self._epoch:
            raise Retriable("fenced")
        self._world.stored += self._held
        self._held = []
        if not (self._world.mistake == "no count first" and "until" in position):
            self._place.position = position
        self._world.happen()

    def close(self) -> None:
        self._held = []


@dataclass(eq=False)
class Process:
    """One process of a task, and the `Siblings` that it knows."""

    world: World
    share: Share
    offsets: dict[str, int] = field(default_factory=dict)
    busy: bool = False

    def open(self) -> None:
        self.destination = Destination(self.world)
        self.shared = SharedSink(self.destination, self.share, self, sleep=self._asleep)
        self.offsets = offsets_of(self.shared.open(self.name(self.share.number)))
        strange = [name for name in self.offsets if not self.share.has(*_partition(name))]
        assert not strange, "partitions of others"

    def turn(self) -> None:
        moved = dict(self.offsets)
        for topic, number in PARTITIONS:
            name = f"{topic}-{number}"
            if self.share.has(topic, number):
                begin, end = moved.get(name, 0), self.world.ends[name]
                self.destination.hold([(name, offset) for offset in range(begin, end)])
                moved[name] = end
        self.shared.commit(moved)
        self.offsets = moved

    def name(self, number: int) -> str:
        return f"lake-{number}"

    def position(self, number: int) -> Position | None:
        self.world.happen()
        return self.world.places.get(self.name(number), Place()).position

    def sink(self, number: int) -> Sink[Delivery]:
        assert number != self.share.number
        return Destination(self.world, fencing=self.world.mistake != "no fence")

    def _asleep(self, _: float) -> None:
        raise Retriable("waited long enough")


def _partition(name: str) -> tuple[str, int]:
    topic, _, number = name.rpartition("-")
    return topic, int(number)


def run(seed: int, mistake: str = "") -> World:
    world = World(random.Random(seed), mistake=mistake)
    for _ in range(STEPS):
        world.step()
    return world


def settle(world: World) -> None:
    """Let all tasks of the last config run undisturbed until they have everything."""
    world.calm = True
    world.processes.clear()
    for number in range(world.tasks):
        world.start(Share(number, world.tasks))
    assert len(world.processes) == world.tasks, "every task has come to work"
    for process in world.processes:
        world.work(process)


def test_every_record_is_stored_once_whatever_is_killed_and_however_many_tasks_there_are() -> None:
    shared_out, records = 0, 0
    for seed in range(SCHEDULES):
        world = run(seed)
        settle(world)
        wanted = sorted((name, offset) for name, end in world.ends.items() for offset in range(end))
        assert sorted(world.stored) == wanted, f"seed {seed}"
        shared_out += Standing.of(world.places["lake-0"].position).sharing
        records += len(wanted)
    assert shared_out > SCHEDULES, "partitions have moved many times"
    assert records > 10 * SCHEDULES


@pytest.mark.parametrize("mistake", ["no fence", "no second look", "no count first"])
def test_the_schedules_find_mistakes(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if mistake == "no second look":
        monkeypatch.setattr(SharedSink, "_follow", _follow_blindly)
    for seed in range(SCHEDULES):
        world = run(seed, mistake)
        if len(world.stored) != len(set(world.stored)):
            return
    pytest.fail(f"a sharing with {mistake} passes")


def _follow_blindly(self: Any, task: str) -> Position | None:
    if not self._settled(self._siblings.position(self._share.number)):
        raise Retriable("not yet")
    position: Position | None = self._sink.open(task)
    return position
