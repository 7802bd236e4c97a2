"""A binlog source's snapshot beside its stream, proved on random schedules, and the proof proved on broken sources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from properties.binlog_world import Broken, run
from tailrace.snapshot.window import Window
from tailrace_mysql import footing
from tailrace_mysql.dump_fault import Diverged
from tailrace_mysql.gtid import GtidSet
from tailrace_mysql.reading import Reading
from tailrace_mysql.sight import ServerSight
from tailrace_mysql.stream import Stream

SERVERS: dict[str, dict[str, bool]] = {
    "mysql": {}, "mysql without gtids": {"gtids": False}, "mariadb": {"mariadb": True},
}  # fmt: skip
MOST_SEEDS = 3000


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_folded_events_are_the_tables(server: dict[str, bool]) -> None:
    for seed in range(40):
        run(seed, **server)


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_tables_without_a_key_are_exact_too(server: dict[str, bool]) -> None:
    for seed in range(16):
        run(seed, keyless=True, **server)


def check_a_turn_late(patch: pytest.MonkeyPatch) -> None:
    """A view that was taken under a lock is looked at when its reader's turn comes; the stream goes on until then."""
    ask, viewed = Reading._ask, Reading._viewed
    asking: list[object] = []

    def late(self: Reading, *arguments: Any) -> None:
        asking.append(self)
        ask(self, *arguments)
        asking.clear()

    patch.setattr(Reading, "_ask", late)
    patch.setattr(Reading, "_viewed", lambda self, *arguments: None if asking else viewed(self, *arguments))


def note_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Window, "note", lambda *_: None)


def take_any_view(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ServerSight, "covered", lambda *_: True)


def believe_the_place_of_another_server(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Stream, "settled", property(lambda self: self._transaction is None and self._interrupted is None))


def know_of_no_transaction_under_way(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(footing, "_owned", lambda _: GtidSet())


MUTANTS = [
    (check_a_turn_late, {"gtids": False}, 0),
    (note_nothing, {}, 0),
    (take_any_view, {"mariadb": True}, 0),
    (believe_the_place_of_another_server, {"mariadb": True}, 0),
    (know_of_no_transaction_under_way, {}, 100),
]
"""What is broken, on which server, and from which seed on it is looked for: it is not found soon before."""


@pytest.mark.parametrize(("mutant", "server", "first"), MUTANTS)
def test_a_broken_source_is_found(
    mutant: Callable[[pytest.MonkeyPatch], None], server: dict[str, bool], first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    for seed in range(first, first + MOST_SEEDS):
        try:
            run(seed, **server)
        except (Broken, Diverged):
            return
    pytest.fail("the mutant survived")
