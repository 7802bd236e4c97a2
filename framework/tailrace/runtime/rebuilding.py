"""Building a sink's destination anew: the same loop, from the start of the log until it has caught up; then the switch.

It runs in the process of the command. A worker may run beside it: it holds the old destination, not the new one.
"""

from __future__ import annotations

from collections.abc import Sequence

from tailrace.codec.delivery import DeliveryDecoder
from tailrace.errors import ConfigError
from tailrace.log.reading import start_of
from tailrace.runtime.build import TaskSpec, build_log, build_sink, sink_config
from tailrace.runtime.rejection import DeliveryStage, Rejections
from tailrace.runtime.task import Pace, run_task
from tailrace.sink import Rebuilding, Rejecting


def rebuild_sink(spec: TaskSpec) -> Sequence[str]:
    """Build, switch, and return what was done; raises `ConfigError` for a sink that cannot.

    Nothing goes to the dead-letter topic, which has one writer, the worker: what is refused is skipped and logged where
    the sink's `errors` setting is anything but to fail.
    """
    config = sink_config(spec)
    made = build_sink(spec, config)
    if not isinstance(made, Rebuilding):
        raise ConfigError(
            f"sink {spec.name} of type {spec.type} cannot be built anew beside itself",
            hint="stop the worker, empty the destination, and let it be filled again: tailrace offsets reset",
        )
    rejections = Rejections(spec.name, "fail" if config.errors == "fail" else "skip")
    if isinstance(made, Rejecting):
        made.reject_with(rejections)
    log = build_log(spec.log, spec.folder, spec.secrets)
    run_task(
        spec.name,
        log.reader(config.topics, start=start_of(config.start)),
        DeliveryStage(DeliveryDecoder(log.registry()), rejections, decoding=False),
        made.build(),
        pace=Pace(config.commit_interval, config.commit_bytes),
        until_current=True,
    )
    return made.switch(spec.name)
