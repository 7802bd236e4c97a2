"""`tailrace topics`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tailrace.cli.place import JsonOption, PathOption, open_log


def topics(
    config: Annotated[Path | None, typer.Argument(help="The config file.", show_default=False)] = None,
    path: PathOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List topics with their partitions, first and next offsets, and bytes; of Kafka's it cannot be told how many.

    \b
    tailrace topics shop.yaml
    tailrace topics --path ./tailrace-data --json
    """
    from tailrace.cli.output import emit_json, emit_table

    partitions = open_log(config, path).partitions()
    if as_json:
        emit_json(
            [
                {
                    "topic": info.topic,
                    "partition": info.partition,
                    "first_offset": info.first_offset,
                    "next_offset": info.next_offset,
                    "bytes": info.bytes,
                }
                for info in partitions
            ]
        )
        return
    rows = [
        (info.topic, info.partition, info.first_offset, info.next_offset, "-" if info.bytes is None else info.bytes)
        for info in partitions
    ]
    emit_table(("TOPIC", "PARTITION", "FIRST", "NEXT", "BYTES"), rows)
