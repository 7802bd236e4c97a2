"""Going on where another tool stopped: from an offset that Kafka Connect stored to a position of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tailrace.config.settings import Settings
from tailrace.errors import ConfigError
from tailrace.position import Position
from tailrace.runtime.build import build_source, source_config, task_spec
from tailrace.runtime.connect_offsets import StoredOffset, choose
from tailrace.source import TakingOver


def position_for(
    settings: Settings,
    task: str,
    offsets: Callable[[], Iterable[StoredOffset]],
    *,
    connector: str | None = None,
) -> tuple[StoredOffset, Position]:
    """Return the stored offset of a source's predecessor, and the position that goes on from there.

    `offsets` reads what there is; of several `connector` says whose it is. Raises `ConfigError` where `task` is no
    source that can take over, and whatever the source raises.
    """
    if task not in settings.connectors:
        known = ", ".join(settings.connectors) or "none"
        raise ConfigError(f"no connector named {task} in {settings.file}", hint=f"there are: {known}")
    spec = task_spec(settings, "source", task)
    config = source_config(spec)
    source = build_source(spec, config)
    if not isinstance(source, TakingOver):
        raise ConfigError(f"connectors.{task}: type {spec.type} cannot go on from offsets of others")
    stored = choose(offsets(), prefix=config.topic_prefix, connector=connector)
    return stored, source.take_over(stored.offset)
