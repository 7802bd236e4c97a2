"""A sink that a group has handed over: what still holds its place is ended, or waited for."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from tailrace.errors import Retriable
from tailrace.runtime.restart import Restart, RestartPolicy, Stop, decide, failure_of
from tailrace.runtime.succession import SuccessorSink, seized
from tailrace_replica.config import ReplicaConfig
from tailrace_replica.sink import ReplicaSink


class SeizableSink:
    def __init__(self) -> None:
        self.seizes = False

    def seize(self) -> None:
        self.seizes = True


@pytest.mark.parametrize("lease", [None, 1.0])
def test_only_with_a_lease_a_sink_is_told_to_end_others(lease: float | None) -> None:
    assert seized(SeizableSink(), lease).seizes == (lease is not None)
    assert seized("a sink that cannot", lease) == "a sink that cannot"


def test_a_place_that_is_held_is_waited_for_without_end(tmp_path: Path) -> None:
    config = ReplicaConfig(type="replica", topics=["a"], url=SecretStr(f"sqlite:{tmp_path / 'copy.db'}"))
    verdicts = []
    with closing(ReplicaSink("copy", config)) as holder:
        holder.open("copy")
        for sink in (ReplicaSink("copy", config), SuccessorSink(ReplicaSink("copy", config))):
            with closing(sink), pytest.raises(Retriable, match="being written by another process") as caught:
                sink.open("copy")
            verdicts.append(decide(failure_of(caught.value), 100, RestartPolicy()))
    assert isinstance(verdicts[0], Stop)
    assert isinstance(verdicts[1], Restart)
    with closing(SuccessorSink(ReplicaSink("copy", config))) as sink:
        assert sink.open("copy") is None
