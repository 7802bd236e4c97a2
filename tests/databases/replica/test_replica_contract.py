"""Every destination of the replica holds to the contracts of sinks and of sinks that keep rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from databases.replica.places import ReplicaStage
from tailrace.testing.row_sink_contract import ROW_SINK_CHECKS
from tailrace.testing.sink_contract import SINK_CHECKS


def name(check: object) -> str:
    return str(getattr(check, "__name__", check))


@pytest.mark.parametrize("check", SINK_CHECKS, ids=name)
def test_sinks(check: Callable[[Any], None], stage: ReplicaStage) -> None:
    check(stage)


@pytest.mark.parametrize("check", ROW_SINK_CHECKS, ids=name)
def test_sinks_of_rows(check: Callable[[Any], None], stage: ReplicaStage) -> None:
    check(stage)
