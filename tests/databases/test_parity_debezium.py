"""Debezium and Tailrace on the same database: schemas, keys, values, headers and tombstones, field by field.

What may differ is written down in docs/debezium-differences.md, heading by heading; nothing else may.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from databases.debezium import install
from databases.debezium.comparison import REASONS, Difference, differences, reason
from databases.debezium.pair import HEARTBEATS, heartbeats_of_both, run_both, value_schemas
from servers.postgres import Database

DOCUMENT = Path(__file__).parents[2] / "docs" / "debezium-differences.md"
SHOWN = 40

pytestmark = [pytest.mark.java, pytest.mark.slow]


@pytest.fixture(autouse=True)
def java() -> None:
    if missing := install.missing():
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)


def test_nothing_differs_but_what_is_written_down(postgres: Database, tmp_path: Path) -> None:
    theirs, ours = run_both(postgres.url, tmp_path)
    assert len(theirs.records) > 150
    found = [(difference, reason(difference)) for difference in differences(theirs, ours)]
    unexplained = [difference for difference, name in found if name is None]
    assert not unexplained, shown(unexplained)
    # A difference that is gone has to be struck off the list.
    assert Counter(name for _, name in found).keys() == REASONS.keys()


@pytest.mark.parametrize("postgres", [18], indirect=True)
def test_heartbeats_are_the_same(postgres: Database, tmp_path: Path) -> None:
    theirs, ours = heartbeats_of_both(postgres.url, tmp_path)
    our_schemas = value_schemas(ours)
    assert our_schemas == {subject: value_schemas(theirs)[subject] for subject in our_schemas}
    our, their = ours.of(HEARTBEATS)[0], theirs.of(HEARTBEATS)[0]
    assert ours.decode(our.key) == theirs.decode(their.key) == {"serverName": "shop"}
    our_value, their_value = ours.decode(our.value), theirs.decode(their.value)
    assert isinstance(our_value, dict)
    assert isinstance(their_value, dict)
    assert our_value.keys() == their_value.keys() == {"ts_ms"}
    assert list(our.headers) == list(their.headers) == []


def test_every_difference_has_its_paragraph() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    compared = document.partition("# MySQL and MariaDB")[0]
    headings = re.findall(r"^## (.+)$", compared, re.MULTILINE)
    assert headings == list(REASONS)


def shown(found: Sequence[Difference]) -> str:
    lines = [f"{len(found)} differences"]
    for d in found[:SHOWN]:
        lines += [f"{d.topic} {d.place} {d.name}", f"    tailrace {d.ours!r:.300}", f"    debezium {d.theirs!r:.300}"]
    return "\n".join(lines)
