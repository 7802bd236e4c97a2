"""What `tailrace check` finds: each plug-in is asked to look at its own server."""

from __future__ import annotations

import os
from pathlib import Path

from tailrace.errors import TailraceError
from tailrace.runtime.build import TaskSpec, build_sink, build_source, log_config, sink_config, source_config
from tailrace.source import Checking, Finding


def inspect_log(spec: TaskSpec) -> list[Finding]:
    """Check that the log's folder can be written to, where it has one."""
    path = getattr(log_config(spec.log, spec.folder, spec.secrets), "path", None)
    if not isinstance(path, Path):
        return []
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return [Finding(ok=True, what=f"log folder {path} can be written to")]
    return [
        Finding(
            ok=False,
            what=f"log folder {path} cannot be written to",
            mend=f"give this user the right to write to {existing}",
        )
    ]


def inspect_task(spec: TaskSpec) -> list[Finding]:
    """Build the plug-in and have it check its server, if it can; an error that it raises is a fault."""
    try:
        plugin = _source(spec) if spec.kind == "source" else build_sink(spec, sink_config(spec))
        if not isinstance(plugin, Checking):
            return [
                Finding(ok=True, what=f"settings of {spec.type} {spec.kind} are valid; it has no checks of its own")
            ]
        return list(plugin.check())
    except TailraceError as error:
        return [Finding(ok=False, what=error.message, mend=error.hint)]


def _source(spec: TaskSpec) -> object:
    return build_source(spec, source_config(spec))
