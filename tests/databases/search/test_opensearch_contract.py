"""The sink into OpenSearch holds to the contract of sinks that keep rows, and commits as one that may repeat itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from databases.search.stage import TASK, ClusterStage, stage_of
from servers.opensearch_node import OpenSearchNode
from tailrace.errors import Retriable
from tailrace.position import Position
from tailrace.testing.row_sink_contract import ROW_SINK_CHECKS, RowSinkStage


@pytest.fixture
def stage(opensearch: OpenSearchNode, tmp_path: Path) -> ClusterStage:
    return stage_of(opensearch, tmp_path)


@pytest.mark.parametrize("check", ROW_SINK_CHECKS, ids=lambda check: check.__name__)
def test_rows(check: Callable[[RowSinkStage], None], stage: ClusterStage) -> None:
    check(stage)
    assert stage.rejected == []


def test_positions(stage: ClusterStage) -> None:
    position: Position = {"at": 1, "deep": {"list": [1, "zwei", None]}}
    assert stage.sink().position(TASK) is None
    with closing(stage.sink()) as sink:
        assert sink.open(TASK) is None
        sink.write([stage.item(1)])
        sink.commit(position)
    with closing(stage.sink()) as sink:
        assert sink.open(TASK) == position
    stage.sink().set_position(TASK, {"at": 2})
    assert stage.sink().position(TASK) == {"at": 2}


def test_a_second_writer_takes_over(stage: ClusterStage) -> None:
    with closing(stage.sink()) as first, closing(stage.sink()) as second:
        first.open(TASK)
        first.write([stage.item(1)])
        second.open(TASK)
        with pytest.raises(Retriable, match="taken over"):
            first.commit({"at": 1})
        second.write([stage.item(2)])
        second.commit({"at": 2})
    assert stage.sink().position(TASK) == {"at": 2}
    assert stage.stored() == [1, 2]


def test_close_at_any_time(stage: ClusterStage) -> None:
    stage.sink().close()
    sink = stage.sink()
    sink.open(TASK)
    sink.write([stage.item(1)])
    sink.close()
    sink.close()
