"""`tailrace search`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tailrace.cli.place import ConfigArgument
from tailrace.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tailrace.sink import Hit, Searching


def search(
    config: ConfigArgument,
    query: Annotated[str, typer.Argument(help="What to look for.", show_default=False)],
    *,
    sink: Annotated[str | None, typer.Option(help="The sink, where there are several.", show_default=False)] = None,
    topic: Annotated[str, typer.Option(help="A glob of the topics to look in.")] = "*",
    most: Annotated[int, typer.Option("--max", min=1, help="Print so many documents.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Look for words in a search sink: the embedded index, OpenSearch or Elasticsearch; best matches first.

    \b
    tailrace search shop.yaml pear
    tailrace search shop.yaml '"red pear" OR plum*' --topic 'shop.public.*' --json
    """
    hits = _sink(config, sink).search(query, topics=[topic], limit=most)
    _print(hits, as_json=as_json)


def _sink(config: Path, name: str | None) -> Searching:
    from tailrace.cli.output import quiet_logs
    from tailrace.config.settings import load_settings
    from tailrace.runtime.build import build_sink, sink_config, task_spec
    from tailrace.sink import Searching

    quiet_logs()
    settings = load_settings(config)
    if name is not None and name not in settings.sinks:
        raise ConfigError(f"no sink named {name}", hint=f"there are: {', '.join(settings.sinks) or 'none'}")
    found: dict[str, Searching] = {}
    for each in settings.sinks if name is None else [name]:
        spec = task_spec(settings, "sink", each)
        if isinstance(made := build_sink(spec, sink_config(spec)), Searching):
            found[each] = made
    if len(found) != 1:
        known = ", ".join(found)
        raise ConfigError(
            f"several sinks can be searched: {known}" if found else "no sink here can be searched",
            hint="say which: --sink NAME" if found else "add a sink of type search, opensearch or elasticsearch",
        )
    return next(iter(found.values()))


def _print(hits: Sequence[Hit], *, as_json: bool) -> None:
    import json

    from tailrace.cli.output import emit

    for hit in hits:
        document = json.dumps(hit.document, ensure_ascii=False)
        if as_json:
            found = {"topic": hit.topic, "id": hit.id, "score": hit.score, "document": hit.document}
            emit(json.dumps(found, ensure_ascii=False))
        else:
            emit(f"{hit.topic}  {hit.id}  {document}")
