"""Three workers share the tasks of one config file: every task runs once, whatever happens to a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from psycopg import sql

from cluster.crew import Crew
from cluster.origin import PostgresOrigin
from servers.kafka_broker import KafkaCluster
from servers.postgres import Servers, drop_slots
from servers.proxy import TcpProxy
from tailrace.config.settings import load_settings
from tailrace.errors import TailraceError
from tailrace.runtime.positions import Positions

StartCrew = Callable[[str], Crew]


@pytest.fixture
def start_crew(brokers: tuple[KafkaCluster, TcpProxy], shared_servers: Servers, tmp_path: Path) -> Iterator[StartCrew]:
    """A function that starts three workers with a task each; the last of them finds Kafka behind the proxy."""
    cluster, _ = brokers
    server = shared_servers.get(15)
    with server.connect() as connection, ExitStack() as hold:

        def start(group: str) -> Crew:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(group)))
            hold.callback(connection.execute, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(group)))
            hold.callback(drop_slots, connection, group)
            servers = [cluster.internal_servers, cluster.internal_servers, cluster.bootstrap_servers]
            origin = PostgresOrigin(server.dsn(group))
            crew = Crew(tmp_path, group, dict.fromkeys(("a", "b", "c"), origin), servers)
            hold.enter_context(crew)
            crew.start()
            crew.wait_shared()
            return crew

        yield start


def test_tasks_move_when_workers_stop_die_and_come_back(start_crew: StartCrew) -> None:
    crew = start_crew("moving")
    crew.wait_flowing()
    first, second, third = crew.members
    before = crew.wait_shared()
    with pytest.raises(TailraceError, match=r"cannot change the position of a while worker .* runs it"):
        Positions(load_settings(first.config)).replace("a", None)
    assert crew.log.owner("moving", "nobody") is None

    assert third.stop() == 0
    after = crew.wait_shared(0, 1)
    stayed = [task for task, owner in before.items() if owner in {first.pid, second.pid}]
    assert {task: after[task] for task in stayed} == {task: before[task] for task in stayed}, "these were left alone"
    assert "task restarting" not in first.said() + second.said()

    second.kill()
    crew.wait_shared(0)
    crew.wait_flowing()

    second.start()
    third.start()
    crew.wait_shared()
    assert all(len(state.tasks) == 1 for state in crew.states().values())
    crew.check()


def test_a_worker_that_is_held_still_is_replaced_and_writes_no_more(start_crew: StartCrew) -> None:
    crew = start_crew("held")
    crew.wait_flowing()
    held = crew.members[1]
    (task,) = (task for task, owner in crew.wait_shared().items() if owner == held.pid)
    held.hold()
    crew.wait_flowing(task)

    held.go_on()
    crew.wait(lambda: "lost" in held.said() or "out of the group" in held.said(), "it notices", timeout=120.0)
    crew.wait_shared()

    crew.members[0].crash()  # and one whose machine loses its power, keeper and all
    crew.wait_shared(1, 2)
    crew.check()


def test_a_worker_that_is_cut_off_from_kafka_stops_its_tasks_before_others_have_them(
    start_crew: StartCrew, brokers: tuple[KafkaCluster, TcpProxy]
) -> None:
    _, proxy = brokers
    crew = start_crew("cut")
    crew.wait_flowing()
    cut = crew.members[2]
    (task,) = (task for task, owner in crew.wait_shared().items() if owner == cut.pid)
    keeper_and_task = len(cut.processes())
    proxy.go_deaf()

    def has_moved() -> bool:
        moved = crew.owners().get(task, cut.pid) != cut.pid  # first: what had ended by then has ended now
        assert not moved or len(cut.processes()) < keeper_and_task, "another has its task, which goes on"
        return moved

    crew.wait(has_moved, "it moves", timeout=120.0)
    crew.wait_flowing(task)

    proxy.resume()
    crew.wait_shared()
    crew.check()
