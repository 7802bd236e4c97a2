"""`tailrace check`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli.place import ConfigArgument, JsonOption

if TYPE_CHECKING:
    from tailrace.source import Finding


def check(
    config: ConfigArgument,
    *,
    connector: Annotated[
        list[str] | None, typer.Option(help="Check only this connector; may be repeated.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Validate the config file, then connect and check what log, sources and sinks need; print how to mend each fault.

    \b
    tailrace check shop.yaml
    """
    from tailrace.cli.output import emit, emit_json, quiet_logs
    from tailrace.config.settings import load_settings
    from tailrace.runtime.build import plan_worker
    from tailrace.runtime.inspection import inspect_log, inspect_task, inspect_topics

    quiet_logs()
    plan = plan_worker(load_settings(config), only=connector or ())
    firsts = [spec for spec in plan.tasks if spec.share.number == 0]
    found = {"log": inspect_log(plan.tasks[0])}
    answers = all(finding.ok for finding in found["log"])
    for spec in firsts:
        found[spec.block_name] = [*inspect_task(spec), *(inspect_topics(spec) if answers else [])]
    if as_json:
        told = [(name, finding) for name, findings in found.items() for finding in findings]
        emit_json([{"connector": name, **dataclasses.asdict(finding)} for name, finding in told])
    else:
        emit(f"ok     {config}: {len(plan.tasks)} to run")
        for name, findings in found.items():
            for finding in findings:
                _show(name, finding)
    faults = sum(not finding.ok for findings in found.values() for finding in findings)
    raise typer.Exit(1 if faults else 0)


def _show(name: str, finding: Finding) -> None:
    from tailrace.cli.output import emit

    emit(f"{'ok   ' if finding.ok else 'fault'}  {name}: {finding.what}")
    if not finding.ok and finding.mend:
        emit(f"       mend: {finding.mend}")
