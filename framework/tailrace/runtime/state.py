"""What is known of a task: the one model that the worker keeps, `tailrace status` prints and the live view shows."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from tailrace.errors import TailraceError
from tailrace.runtime.child import Message
from tailrace.runtime.restart import Failure
from tailrace.source import SnapshotProgress

State: TypeAlias = Literal["UNASSIGNED", "RUNNING", "PAUSED", "FAILED", "RESTARTING"]
"""Kafka Connect's words. UNASSIGNED: not started yet, or ended in good order."""

Phase: TypeAlias = Literal["", "opening", "snapshot", "streaming", "draining", "ended"]
"""What the task is at. `ended`: it has done all that it was asked to."""

Kind: TypeAlias = Literal["source", "sink"]


class TaskReport(BaseModel):
    """What a task's process tells the worker about once a second. Ages in seconds; totals since it was started."""

    model_config = ConfigDict(frozen=True)

    phase: Phase
    position: str = ""
    server_position: str = ""
    durable: dict[str, JsonValue] | None = None
    lag_bytes: int | None = None
    lag_seconds: float | None = None
    heard_seconds: float | None = None
    caught_up: bool = False
    snapshot: SnapshotProgress | None = None
    details: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    records: int = 0
    bytes: int = 0
    commits: int = 0
    bad_records: int = 0
    commit_seconds: float | None = None
    """Since the last commit; None before the first."""
    waiting_seconds: float | None = None
    """Since the oldest item came that is not committed yet."""
    may_wait_seconds: float = 0.0
    """How long items wait on purpose, where commits leave files behind."""
    warnings: list[str] = Field(default_factory=list)


class TaskMessage(Message):
    """One line from a task's process to the worker: how it is doing, or why it ends."""

    model_config = ConfigDict(frozen=True)

    report: TaskReport | None = None
    ended: Literal["", "finished", "stopped"] = ""
    """`finished`: there was nothing more to do; `stopped`: it was asked to."""


class TaskState(BaseModel):
    """The state of one task. Rates are per second, over the last few seconds; totals since the worker was started."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Kind
    type: str
    state: State = "UNASSIGNED"
    phase: Phase = ""
    healthy: bool = True
    reason: str = ""
    """Why it is not healthy."""
    pid: int | None = None
    position: str = ""
    server_position: str = ""
    durable: dict[str, JsonValue] | None = None
    lag_bytes: int | None = None
    lag_seconds: float | None = None
    caught_up: bool = False
    heard_seconds: float | None = None
    commit_seconds: float | None = None
    waiting_seconds: float | None = None
    snapshot: SnapshotProgress | None = None
    details: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    records: int = 0
    bytes: int = 0
    records_per_second: float = 0.0
    bytes_per_second: float = 0.0
    bad_records: int = 0
    restarts: int = 0
    next_attempt: datetime | None = None
    error: Failure | None = None
    """The last failure, also after the task came back."""
    error_at: datetime | None = None
    warnings: list[str] = Field(default_factory=list)


class WorkerState(BaseModel):
    """The state of a worker and its tasks, as of `updated`."""

    model_config = ConfigDict(frozen=True)

    pid: int
    version: str
    config: str
    started: datetime
    updated: datetime
    tasks: list[TaskState]
    """Those that this worker has been given, where it is one of a group."""
    group: str = ""
    worker: str = ""
    """Its name in the group."""
    digests: dict[str, str] = Field(default_factory=dict)
    """Of the settings of every task in its config file: workers of a group should have the same."""
    warnings: list[str] = Field(default_factory=list)


def state_file(folder: Path) -> Path:
    """Return where the worker of `folder` keeps the state that others may read."""
    return folder / "worker" / "status.json"


def write_state(file: Path, state: WorkerState) -> None:
    """Replace `file` whole, so that a reader never sees half of it."""
    draft = file.with_suffix(".tmp")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        draft.write_text(state.model_dump_json(), encoding="utf-8")
        draft.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def read_state(file: Path) -> WorkerState | None:
    """Return what a worker wrote last; None where none ever ran."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return WorkerState.model_validate_json(text)
    except ValidationError as error:
        raise TailraceError(
            f"cannot read worker state {file}: not as this version of Tailrace writes it",
            hint="it was written by another version; a running worker replaces it every second",
        ) from error


def alive(pid: int) -> bool:
    """Whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
