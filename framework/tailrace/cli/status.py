"""`tailrace status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.cli.place import ConfigArgument, JsonOption

if TYPE_CHECKING:
    from tailrace.runtime.state import TaskState


def status(config: ConfigArgument, *, as_json: JsonOption = False) -> None:
    """Show state, lag, rates, restarts and the last error of every task, as the worker wrote them last.

    \b
    tailrace status shop.yaml
    """
    from tailrace.cli.output import emit, emit_json, emit_table, quiet_logs
    from tailrace.config.settings import load_settings
    from tailrace.runtime.build import worker_folder
    from tailrace.runtime.lock import worker_holding
    from tailrace.runtime.state import read_state
    from tailrace.runtime.supervisor import state_file

    quiet_logs()
    folder = worker_folder(load_settings(config, only_log=True))
    pid = worker_holding(folder)
    state = read_state(state_file(folder))
    if as_json:
        told = state.model_dump(mode="json") if state else {"tasks": []}
        emit_json({"running": pid is not None, **told})
        return
    if state is None:
        emit(f"no worker has run on {folder} yet" if pid is None else f"worker {pid} is starting")
        return
    since = f"running as pid {pid}" if pid is not None else "not running; this is what it left"
    emit(f"worker {since}, as of {state.updated:%Y-%m-%d %H:%M:%S} UTC")
    header = ("NAME", "KIND", "STATE", "PHASE", "POSITION", "LAG", "RECORDS/S", "RECORDS", "RESTARTS", "HEALTH")
    emit_table(header, [_row(task) for task in state.tasks])
    for task in state.tasks:
        for line in _remarks(task):
            emit(f"{task.name}: {line}")


def _row(task: TaskState) -> tuple[object, ...]:
    phase: object = task.phase
    if task.snapshot is not None:
        phase = f"snapshot {task.snapshot.percent:.0f} %"
    lag = [f"{task.lag_bytes} B"] if task.lag_bytes is not None else []
    if task.lag_seconds is not None:
        lag.append(f"{task.lag_seconds:.1f} s")
    return (
        task.name,
        task.kind,
        task.state,
        phase,
        task.position,
        ", ".join(lag),
        task.records_per_second,
        task.records,
        task.restarts,
        "ok" if task.healthy else "not well",
    )


def _remarks(task: TaskState) -> list[str]:
    remarks = [] if task.healthy else [task.reason]
    if task.error is not None:
        when = f" at {task.error_at:%Y-%m-%d %H:%M:%S} UTC" if task.error_at else ""
        remarks.append(f"last error{when}: {task.error.message}")
        if task.error.hint:
            remarks.append(f"hint: {task.error.hint}")
    if task.next_attempt is not None:
        remarks.append(f"next attempt at {task.next_attempt:%H:%M:%S} UTC")
    if task.bad_records:
        what = "events could not be encoded" if task.kind == "source" else "records were refused"
        remarks.append(f"{task.bad_records} {what}, and were passed over")
    return remarks + [f"warning: {warning}" for warning in task.warnings]
