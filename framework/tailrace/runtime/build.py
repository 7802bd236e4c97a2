"""From the config file to tasks: which plug-ins, with which settings, and how they are joined.

Everything here is checked before anything is started, and nothing here does I/O but reading plug-ins' code. The worker
makes a `TaskSpec` for each task; the task's own process builds the `Task` from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from tailrace.codec.delivery import Delivery, DeliveryDecoder
from tailrace.codec.encoder import ChangeEncoder
from tailrace.config.settings import Block, Settings
from tailrace.errors import ConfigError
from tailrace.event import StoredRecord
from tailrace.log.backend import Limiting, LogBackend, Resting, TakesBlocks
from tailrace.log.reading import start_of
from tailrace.log.seat import Shared
from tailrace.log.share import ALL, Divisible, Share
from tailrace.position import Position
from tailrace.runtime.dead_letter import DeadLetters, LetteredOffsets
from tailrace.runtime.logs import LogSettings
from tailrace.runtime.offsets import LogOffsets, sink_offsets
from tailrace.runtime.plugins import find_plugin, plugin_config
from tailrace.runtime.recollection import recall
from tailrace.runtime.rejection import DeliveryStage, LetteredSink, Rejections
from tailrace.runtime.sharing import SharedSink
from tailrace.runtime.size_limit import LimitedStage
from tailrace.runtime.stage import BadRecords, ChangeStage
from tailrace.runtime.state import Kind
from tailrace.runtime.succession import SuccessorSink, seized
from tailrace.runtime.task import Pace
from tailrace.sink import (
    Lively,
    OffsetsBeside,
    OffsetStore,
    PlainSink,
    Rejecting,
    Repositioning,
    Shareable,
    Sink,
    SinkConfig,
)
from tailrace.source import Recalling, Seizing, Source, SourceConfig
from tailrace.transform import Transform


class TaskSpec(BaseModel):
    """All that a task's process has to know. It holds secrets: it goes through a pipe, never to a disk or a log."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Kind
    block_name: str
    """Under which the config file has it; tasks that share a sink have names of their own."""
    block: dict[str, object]
    log: dict[str, object]
    folder: Path
    worker_folder: Path
    """Where sinks that cannot keep a position have it kept."""
    secrets: frozenset[str] = frozenset()
    until_current: bool = False
    stop_timeout: float = 30.0
    watchdog: float = 120.0
    caution: int = 0
    """How many times in a row the task ended for a step that took too long, as `Pace` has it."""
    restart_delay: float | None = None
    restart_delay_max: float | None = None
    """Seconds; None: the worker's."""
    share: Share = ALL
    """Of a sink's task: which partitions it has."""
    lease: float | None = None
    """Until when, by `time.monotonic()`, it may run unless it hears of a later time; None: as long as it likes."""
    logging: LogSettings = LogSettings()

    @property
    def path(self) -> str:
        """The block's place in the config file."""
        return f"{'connectors' if self.kind == 'source' else 'sinks'}.{self.block_name}"

    @property
    def type(self) -> str:
        """The plug-in's name."""
        return str(self.block.get("type", ""))


@dataclass(frozen=True, slots=True)
class Task:
    """The parts that the loop joins."""

    source: Source[Any]
    stage: Callable[[Sequence[Any]], Sequence[Any]]
    sink: Sink[Any]
    pace: Pace
    warnings: Callable[[], Sequence[str]]
    bad_records: Callable[[], int]
    lively: Lively | None = None


def task_spec(settings: Settings, kind: Kind, name: str) -> TaskSpec:
    """Return the spec of one task with nothing but what its plug-in needs."""
    return TaskSpec(
        name=name,
        kind=kind,
        block_name=name,
        block=dict((settings.connectors if kind == "source" else settings.sinks)[name]),
        log=dict(settings.log),
        folder=settings.folder,
        worker_folder=worker_folder(settings),
        secrets=settings.secrets,
        stop_timeout=settings.worker.stop_timeout,
        watchdog=settings.worker.watchdog,
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker is to run."""

    settings: Settings
    folder: Path
    """Where the worker keeps its lock and state."""
    tasks: Sequence[TaskSpec]


def plan_worker(
    settings: Settings, *, only: Sequence[str] = (), logging: LogSettings | None = None, until_current: bool = False
) -> Plan:
    """Check every block of `settings` and return the tasks, all or only the named; raises `ConfigError`."""
    folder = worker_folder(settings)
    _check_group(settings)
    update = {"until_current": until_current, "logging": logging or LogSettings()}
    specs = [
        *(task_spec(settings, "source", name) for name in settings.connectors),
        *(task_spec(settings, "sink", name) for name in settings.sinks),
    ]
    specs = [spec.model_copy(update=update) for spec in specs]
    if not specs:
        raise ConfigError(f"{settings.file}: nothing to run", hint="name at least one connector under connectors:")
    _check_prefixes({spec.name: source_config(spec) for spec in specs if spec.kind == "source"})
    if missing := [name for name in only if name not in {spec.name for spec in specs}]:
        known = ", ".join(spec.name for spec in specs)
        raise ConfigError(f"no connector named {', '.join(missing)} in {settings.file}", hint=f"there are: {known}")
    tasks = [task for spec in specs for task in (_sink_tasks(spec) if spec.kind == "sink" else [spec])]
    _check_names(tasks)
    return Plan(settings, folder, [task for task in tasks if not only or task.block_name in only])


def _sink_tasks(spec: TaskSpec) -> list[TaskSpec]:
    """Return the specs of all tasks of a sink."""
    config = sink_config(spec)
    delays = {"restart_delay": config.restart_delay, "restart_delay_max": config.restart_delay_max}
    if config.tasks > 1:
        _check_shareable(spec, config)
    return [sink_task(spec.model_copy(update=delays), number, config.tasks) for number in range(config.tasks)]


def task_name(sink: str, number: int) -> str:
    """Return the name of one of a sink's tasks: that of a sink's only task is the sink's own."""
    return f"{sink}-{number}" if number else sink


def sink_task(spec: TaskSpec, number: int, tasks: int) -> TaskSpec:
    """Return the spec of one of a sink's tasks."""
    return spec.model_copy(update={"name": task_name(spec.block_name, number), "share": Share(number, tasks)})


def log_config(block: Block, folder: Path, secrets: frozenset[str] = frozenset()) -> Any:
    """Return the settings of the log as its back-end's own `Config`."""
    plugin = find_plugin("tailrace.log_backends", block, "log")
    return plugin_config(plugin, block, "log", folder=folder, secrets=secrets)


def build_log(block: Block, folder: Path, secrets: frozenset[str] = frozenset()) -> LogBackend:
    """Return the log that `block` describes."""
    plugin = find_plugin("tailrace.log_backends", block, "log")
    log: LogBackend = plugin(plugin_config(plugin, block, "log", folder=folder, secrets=secrets))
    return log


def worker_folder(settings: Settings) -> Path:
    """Return where the worker keeps its lock and state: with the log, so that one copy of it is a whole backup."""
    if settings.worker.path is not None:
        return settings.worker.path
    path = getattr(log_config(settings.log, settings.folder, settings.secrets), "path", None)
    return path if isinstance(path, Path) else settings.folder / "tailrace-worker"


def source_config(spec: TaskSpec) -> SourceConfig:
    """Return the checked settings of a source, its topic prefix filled in; checks its transforms too."""
    plugin = find_plugin("tailrace.sources", spec.block, spec.path)
    own = {key: value for key, value in spec.block.items() if key != "transforms"}
    config: SourceConfig = plugin_config(plugin, own, spec.path, folder=spec.folder, secrets=spec.secrets)
    build_transforms(spec)
    return config if config.topic_prefix else config.model_copy(update={"topic_prefix": spec.name})


def sink_config(spec: TaskSpec) -> SinkConfig:
    """Return the checked settings of a sink."""
    plugin = find_plugin("tailrace.sinks", spec.block, spec.path)
    config: SinkConfig = plugin_config(plugin, spec.block, spec.path, folder=spec.folder, secrets=spec.secrets)
    return config


def build_source(spec: TaskSpec, config: SourceConfig) -> Source[Any]:
    """Return the source alone, as `tailrace check` needs it."""
    source: Source[Any] = find_plugin("tailrace.sources", spec.block, spec.path)(spec.name, config)
    return source


def build_transforms(spec: TaskSpec) -> list[Transform]:
    """Return the transforms of a connector's `transforms:` list, in order."""
    blocks = spec.block.get("transforms") or []
    if not isinstance(blocks, list):
        raise ConfigError(f"{spec.path}.transforms: must be a list")
    transforms: list[Transform] = []
    for index, block in enumerate(blocks):
        path = f"{spec.path}.transforms[{index}]"
        if not isinstance(block, Mapping):
            raise ConfigError(f"{path}: must be keys and values")
        plugin = find_plugin("tailrace.transforms", block, path)
        transforms.append(plugin(plugin_config(plugin, block, path, folder=spec.folder, secrets=spec.secrets)))
    return transforms


def build_task(spec: TaskSpec) -> Task:
    """Return the parts of a task, joined but not opened."""
    return _source_task(spec) if spec.kind == "source" else _sink_task(spec)


def _source_task(spec: TaskSpec) -> Task:
    config = source_config(spec)
    log = build_log(spec.log, spec.folder, spec.secrets)
    blocks = log.partition_count if isinstance(log, TakesBlocks) else None
    encoder = ChangeEncoder(log.registry(), config, partitions=blocks)
    bad_records = BadRecords(spec.name, config.errors, f"{config.topic_prefix}.dead-letter")
    source = build_source(spec, config)
    if isinstance(source, Recalling):
        source.recall_with(partial(recall, log))
    if spec.lease is not None and isinstance(source, Seizing):
        source.seize()  # its worker was given the task, and the loop opens the sink first, which fences others
    stage = ChangeStage(encoder, bad_records, build_transforms(spec))
    limit = log.record_limit if isinstance(log, Limiting) and config.errors != "fail" else None
    return Task(
        source=source,
        stage=stage if limit is None else LimitedStage(stage, bad_records, limit),
        sink=log.writer(config.topic_prefix),
        pace=_pace(spec, config, rest=log.commit_rest if isinstance(log, Resting) else 0.0),
        warnings=lambda: encoder.warnings,
        bad_records=lambda: bad_records.count,
    )


def build_sink(spec: TaskSpec, config: SinkConfig) -> Sink[Delivery] | PlainSink[Delivery]:
    """Return the sink alone, as its package made it: what `tailrace check` and `tailrace offsets` need."""
    sink: Sink[Delivery] | PlainSink[Delivery] = find_plugin("tailrace.sinks", spec.block, spec.path)(spec.name, config)
    return sink


def keeps_position(sink: object) -> bool:
    """Whether a sink commits, and so keeps its position itself; one that can only flush has it kept beside."""
    return hasattr(sink, "commit")


def _sink_task(spec: TaskSpec) -> Task:
    config = sink_config(spec)
    log = build_log(spec.log, spec.folder, spec.secrets)
    letters = _letters(spec, config, log) if config.errors == "dead_letter" else None
    rejections = Rejections(spec.block_name, config.errors, letters)
    made = seized(build_sink(spec, config), spec.lease)
    if isinstance(made, Rejecting):
        made.reject_with(rejections)
    sink = _committing(made, _offsets_beside(spec, log), letters)
    if isinstance(log, Divisible) and is_shareable(made):
        sink = SharedSink(sink, spec.share, SinkPlaces(spec, log))
    if spec.lease is not None:
        sink = SuccessorSink(sink)
    return Task(
        source=_deliveries(spec, config, log),
        stage=DeliveryStage(
            DeliveryDecoder(log.registry()),
            rejections,
            decoding=config.errors != "fail" and not isinstance(made, Rejecting),
        ),
        sink=sink if letters is None else LetteredSink(sink, rejections, letters, at_once=keeps_position(made)),
        pace=_pace(spec, config, when_dry=config.commits_when_dry),
        warnings=list,
        bad_records=lambda: rejections.count,
        lively=made if isinstance(made, Lively) else None,
    )


def _pace(spec: TaskSpec, config: SourceConfig | SinkConfig, *, when_dry: bool = True, rest: float = 0.0) -> Pace:
    return Pace(
        config.commit_interval, config.commit_bytes, when_dry, rest=rest, patience=spec.watchdog, caution=spec.caution
    )


def _letters(spec: TaskSpec, config: SinkConfig, log: LogBackend) -> DeadLetters:
    topic = config.dead_letter_topic or f"{spec.block_name}.dead-letter"
    return DeadLetters(log, spec.block_name, topic, task=spec.name, number=spec.share.number)


def _deliveries(spec: TaskSpec, config: SinkConfig, log: LogBackend) -> Source[StoredRecord]:
    start = start_of(config.start)
    if isinstance(log, Divisible):
        return log.share(config.topics, spec.share, start=start, task=spec.block_name)
    return log.reader(config.topics, start=start, task=spec.block_name)


class SinkPlaces:
    """The `Siblings` of a sink's task, itself included."""

    def __init__(self, spec: TaskSpec, log: LogBackend) -> None:
        self._spec, self._log = spec, log

    def name(self, number: int) -> str:
        """Return the name of a task."""
        return task_name(self._spec.block_name, number)

    def position(self, number: int) -> Position | None:
        """Ask the destination, or the log where it keeps positions for sinks that cannot."""
        made = self._made(number)
        if isinstance(made, Repositioning):
            return made.position(self.name(number))
        return self._log.positions().get(self.name(number))

    def sink(self, number: int) -> Sink[Delivery]:
        """Return a sink that nothing was done with yet."""
        return _committing(self._made(number), _offsets_beside(self._spec, self._log), None)

    def _made(self, number: int) -> object:
        spec = sink_task(self._spec, number, self._spec.share.tasks)
        return seized(build_sink(spec, sink_config(spec)), spec.lease)


def is_shareable(sink: object) -> bool:
    """Whether several tasks may have the sink open, each with a position of its own that others can be told."""
    told = isinstance(sink, Repositioning) or not keeps_position(sink)
    return isinstance(sink, Shareable) and sink.shareable and told


def _check_shareable(spec: TaskSpec, config: SinkConfig) -> None:
    if not isinstance(build_log(spec.log, spec.folder, spec.secrets), Divisible):
        raise ConfigError(
            f"{spec.path}.tasks: several tasks cannot share the topics of a {spec.log.get('type')} log",
            hint="tasks: 1, or a log of type kafka",
        )
    if not is_shareable(build_sink(spec, config)):
        raise ConfigError(
            f"{spec.path}.tasks: a destination like this one of type {spec.type} takes one task at a time",
            hint="tasks: 1; docs/sinks.md says which sinks several tasks can share",
        )


def _check_names(specs: Sequence[TaskSpec]) -> None:
    owners: dict[str, str] = {}
    for spec in specs:
        if (owner := owners.setdefault(spec.name, spec.path)) != spec.path:
            raise ConfigError(
                f"{spec.path}: {owner} has a task of the name {spec.name}", hint="give one of them another name"
            )


def _committing(made: Any, offsets: OffsetStore, letters: DeadLetters | None) -> Sink[Delivery]:
    if keeps_position(made):
        sink: Sink[Delivery] = made
        return sink
    return OffsetsBeside(made, offsets if letters is None else LetteredOffsets(offsets, letters))


def _offsets_beside(spec: TaskSpec, log: LogBackend) -> OffsetStore:
    """Return where a sink's positions lie: what several workers share cannot be in the folder of one."""
    return LogOffsets(log.writer()) if isinstance(log, Shared) else sink_offsets(spec.worker_folder)


def _check_group(settings: Settings) -> None:
    if settings.worker.group and not isinstance(build_log(settings.log, settings.folder, settings.secrets), Shared):
        raise ConfigError(
            f"worker.group: workers cannot share the tasks of a {settings.log.get('type')} log",
            hint="its folder is one machine's, and one worker's; several workers ask for a log of type kafka",
        )


def _check_prefixes(configs: Mapping[str, SourceConfig]) -> None:
    """Two connectors that write the same topics would fight over them, and mix what no reader could tell apart."""
    owners: dict[str, str] = {}
    for name, config in configs.items():
        if (owner := owners.setdefault(config.topic_prefix, name)) != name:
            raise ConfigError(
                f'connectors.{name}.topic_prefix: "{config.topic_prefix}" is the prefix of connector {owner} already',
                hint="give each connector a topic_prefix of its own",
            )
