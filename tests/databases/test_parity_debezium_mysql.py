"""Debezium's MySQL and MariaDB connectors and Tailrace's tables: schemas, keys, rows, headers, tombstones.

What may differ is written down in docs/debezium-differences.md; nothing else may.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from databases.debezium import install, install_mariadb
from databases.debezium.comparison import Difference, differences
from databases.debezium.comparison_mysql import MARIADB_REASONS, REASONS, compared, reason
from databases.debezium.pair_mysql import run_both_on_mysql
from servers.mysql import MysqlDatabase

DOCUMENT = Path(__file__).parents[2] / "docs" / "debezium-differences.md"
SHOWN = 60

pytestmark = [pytest.mark.java, pytest.mark.mysql, pytest.mark.slow]


def need(missing: str) -> None:
    if missing:
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)


def test_nothing_differs_but_what_is_written_down(mysql: MysqlDatabase, tmp_path: Path) -> None:
    need(install.missing())
    theirs, ours = run_both_on_mysql(mysql, tmp_path)
    assert len(theirs.records) > 30
    found = [(difference, reason(difference)) for difference in differences(theirs, ours) if compared(difference)]
    unexplained = [difference for difference, name in found if name is None]
    assert not unexplained, shown(unexplained)
    # A difference that is gone has to be struck off the list.
    assert Counter(name for _, name in found).keys() == REASONS.keys()


def test_nothing_else_differs_on_mariadb(mariadb: MysqlDatabase, tmp_path: Path) -> None:
    need(install_mariadb.missing())
    theirs, ours = run_both_on_mysql(mariadb, tmp_path)
    assert len(theirs.records) > 30
    reasons = {**MARIADB_REASONS, **REASONS}
    found = [(d, reason(d, reasons)) for d in differences(theirs, ours) if compared(d)]
    unexplained = [difference for difference, name in found if name is None]
    assert not unexplained, shown(unexplained)
    assert {name for _, name in found} >= MARIADB_REASONS.keys()


def test_every_difference_has_its_paragraph() -> None:
    headings = re.findall(r"^## ((?:MySQL|MariaDB): .+)$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == [*REASONS, *MARIADB_REASONS]


def shown(found: Sequence[Difference]) -> str:
    lines = [f"{len(found)} differences"]
    for d in found[:SHOWN]:
        lines += [f"{d.topic} {d.place} {d.name}", f"    tailrace {d.ours!r:.300}", f"    debezium {d.theirs!r:.300}"]
    return "\n".join(lines)
