"""`tailrace status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.cli.place import ConfigArgument, JsonOption

if TYPE_CHECKING:
    from tailrace.config.settings import Block, Settings
    from tailrace.runtime.state import TaskState

_HEADER = ("NAME", "KIND", "STATE", "PHASE", "POSITION", "LAG", "RECORDS/S", "RECORDS", "RESTARTS", "HEALTH")


def status(config: ConfigArgument, *, as_json: JsonOption = False) -> None:
    """Show state, lag, rates, restarts and the last error of every task, as its worker wrote them last.

    Where workers share the tasks (worker.group), this shows all of them, from any machine.

    \b
    tailrace status shop.yaml
    """
    from tailrace.cli.output import emit, emit_json, emit_table, quiet_logs
    from tailrace.config.settings import load_settings
    from tailrace.runtime.build import worker_folder
    from tailrace.runtime.lock import worker_holding
    from tailrace.runtime.state import read_state, state_file

    quiet_logs()
    settings = load_settings(config, only_log=True)
    if settings.worker.group:
        _show_group(settings, as_json=as_json)
        return
    folder = worker_folder(settings)
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
    emit_table(_HEADER, [_row(task) for task in state.tasks])
    for task in state.tasks:
        for line in _remarks(task):
            emit(f"{task.name}: {line}")


def _names(sink: str, block: Block) -> list[str]:
    """Return the names of a sink's tasks, as far as the block tells without its placeholders."""
    from tailrace.runtime.build import task_name

    tasks = block.get("tasks", 1)
    return [task_name(sink, number) for number in range(tasks if isinstance(tasks, int) else 1)]


def _show_group(settings: Settings, *, as_json: bool) -> None:
    """Show the workers of a group, and the tasks of all of them; a task that nobody runs is shown, too."""
    from tailrace.cli.output import emit, emit_json, emit_table
    from tailrace.runtime.group import group_states
    from tailrace.runtime.keeper import alive as of_the_living

    group = settings.worker.group
    found = group_states(settings)
    alive = of_the_living(found, settings.worker.session_timeout)
    tasks = {task.name: (name, task) for name, state in alive.items() for task in state.tasks}
    planned = [*settings.connectors, *(task for name, block in settings.sinks.items() for task in _names(name, block))]
    missing = [name for name in planned if name not in tasks]
    if as_json:
        emit_json(
            {
                "running": bool(alive),
                "group": group,
                "workers": [
                    {"alive": name in alive, **state.model_dump(mode="json", exclude={"tasks"})}
                    for name, state in sorted(found.items())
                ],
                "tasks": [{"worker": name, **task.model_dump(mode="json")} for name, task in tasks.values()],
                "unassigned": missing,
            }
        )
        return
    emit(f"group {group}: {len(alive)} workers")
    for name, state in sorted(found.items()):
        said = f"as of {state.updated:%Y-%m-%d %H:%M:%S} UTC"
        emit(f"{name}  pid {state.pid}, {len(state.tasks)} tasks, {said}{'' if name in alive else ', silent since'}")
    rows = [(*_row(task), name) for name, task in sorted(tasks.values(), key=lambda pair: pair[1].name)]
    emit_table((*_HEADER, "WORKER"), rows)
    for name in missing:
        emit(f"{name}: no worker runs it")
    for name, task in tasks.values():
        for line in _remarks(task):
            emit(f"{task.name} on {name}: {line}")
    for name, state in alive.items():
        for warning in state.warnings:
            emit(f"{name}: warning: {warning}")


def _row(task: TaskState) -> tuple[object, ...]:
    phase: object = task.phase
    if task.snapshot is not None:
        phase = f"snapshot {task.snapshot.percent:.0f} %"
    lag = [f"{task.lag_bytes} B"] if task.lag_bytes is not None else []
    if not lag and (records := task.details.get("lag_records")) is not None:
        lag.append(f"{records} records")  # of a log that does not tell bytes
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
