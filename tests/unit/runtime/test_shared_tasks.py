"""`tasks: N` of a sink, as far as it is settled before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailrace.config.settings import load_settings
from tailrace.errors import ConfigError, TailraceError
from tailrace.log.share import Share
from tailrace.runtime.build import Plan, plan_worker
from tailrace.runtime.positions import Positions

KAFKA = "{type: kafka, bootstrap_servers: 'nowhere:9092'}"
COPY = "copy: {type: replica, url: 'postgresql://h/d', topics: ['*'], tasks: 3}"


def planned(folder: Path, sinks: str, *, log: str = KAFKA, only: tuple[str, ...] = ()) -> Plan:
    return plan_worker(load_settings(written(folder, sinks, log=log)), only=only)


def written(folder: Path, sinks: str, *, log: str = KAFKA) -> Path:
    file = folder / "tailrace.yaml"
    file.write_text(f"log: {log}\nsinks:\n  {sinks}\n", encoding="utf-8")
    return file


def test_each_task_has_a_name_and_a_share(tmp_path: Path) -> None:
    plan = planned(tmp_path, COPY)
    assert [(task.name, task.share) for task in plan.tasks] == [
        ("copy", Share(0, 3)),
        ("copy-1", Share(1, 3)),
        ("copy-2", Share(2, 3)),
    ]
    assert {task.path for task in plan.tasks} == {"sinks.copy"}
    assert len(planned(tmp_path, COPY, only=("copy",)).tasks) == 3
    with pytest.raises(ConfigError, match="no connector named copy-1"):
        planned(tmp_path, COPY, only=("copy-1",))


@pytest.mark.parametrize("tasks", [1, 2, 3, 7])
def test_every_partition_is_in_one_share_and_those_of_a_topic_go_round(tasks: int) -> None:
    shares = [Share(number, tasks) for number in range(tasks)]
    for topic in ("orders", "people", "shop.public.things"):
        for first in range(0, 4 * tasks, tasks):
            owners = [[s.number for s in shares if s.has(topic, first + more)] for more in range(tasks)]
            assert sorted(owners) == [[number] for number in range(tasks)]


@pytest.mark.parametrize(
    ("sinks", "log", "message"),
    [
        (COPY, "{type: bundled, path: ./data}", "sinks.copy.tasks: several tasks cannot share the topics of a bundled"),
        (COPY.replace("postgresql://h/d", "sqlite:file.db"), KAFKA, "of type replica takes one task at a time"),
        ("words: {type: search, path: ./words, topics: ['*'], tasks: 2}", KAFKA, "type search takes one task at a"),
        (f"{COPY}\n  {COPY.replace('copy:', 'copy-2:')}", KAFKA, "sinks.copy-2: sinks.copy has a task of the name"),
    ],
)
def test_what_cannot_be_shared_is_refused(tmp_path: Path, sinks: str, log: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        planned(tmp_path, sinks, log=log)


def test_one_of_several_positions_is_not_set_alone(tmp_path: Path) -> None:
    positions = Positions(load_settings(written(tmp_path, COPY)))
    with pytest.raises(TailraceError, match="cannot change the position of copy-1 alone; name sink copy"):
        positions.replace("copy-1", None)
