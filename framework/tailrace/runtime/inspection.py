"""What `tailrace check` finds: the log and each plug-in are asked to look at their own servers."""

from __future__ import annotations

from collections.abc import Iterator

from tailrace.errors import TailraceError
from tailrace.log.reading import topic_matcher
from tailrace.runtime.build import TaskSpec, build_log, build_sink, build_source, sink_config, source_config
from tailrace.source import Checking, Finding


def inspect_log(spec: TaskSpec) -> list[Finding]:
    """Build the log and have it check what it is in, if it can."""
    return list(_found(build_log(spec.log, spec.folder, spec.secrets), "log"))


def inspect_task(spec: TaskSpec) -> list[Finding]:
    """Build the plug-in and have it check its server, if it can; an error that it raises is a fault."""
    try:
        plugin = (
            build_source(spec, source_config(spec)) if spec.kind == "source" else build_sink(spec, sink_config(spec))
        )
    except TailraceError as error:
        return [_fault(error)]
    return list(_found(plugin, f"{spec.type} {spec.kind}"))


def inspect_topics(spec: TaskSpec) -> list[Finding]:
    """Look which of a sink's globs fit no topic; that may come, and so is no fault."""
    if spec.kind == "source":
        return []
    try:
        there = {each.topic for each in build_log(spec.log, spec.folder, spec.secrets).partitions()}
    except TailraceError as error:
        return [_fault(error)]
    missing = [glob for glob in sink_config(spec).topics if not any(map(topic_matcher([glob]), there))]
    return [Finding(ok=True, what=f"no topic fits {glob} yet: the sink waits for one") for glob in missing]


def _found(plugin: object, label: str) -> Iterator[Finding]:
    if not isinstance(plugin, Checking):
        yield Finding(ok=True, what=f"settings of {label} are valid; it has no checks of its own")
        return
    try:
        yield from plugin.check()
    except TailraceError as error:
        yield _fault(error)


def _fault(error: TailraceError) -> Finding:
    return Finding(ok=False, what=error.message, mend=error.hint)
