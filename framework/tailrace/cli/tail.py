"""`tailrace tail`."""

from __future__ import annotations

from typing import Annotated

import typer

from tailrace.cli.place import ConfigOption, PathOption, open_log


def tail(
    topic: Annotated[str, typer.Argument(help="The topic.", show_default=False)],
    config: ConfigOption = None,
    path: PathOption = None,
    *,
    start: Annotated[
        str, typer.Option("--from", help="earliest, latest, an offset, or a time (ISO 8601, or ms since 1970).")
    ] = "earliest",
    most: Annotated[
        int | None, typer.Option("--max", min=0, help="End after so many records.", show_default=False)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more, until Ctrl-C.")] = False,
) -> None:
    """Print the records of a topic, one JSON object a line: Avro decoded, several partitions in order of time.

    \b
    tailrace tail shop.public.orders --config shop.yaml --max 5
    tailrace tail shop.public.orders --path ./tailrace-data --from 2026-01-31T12:00:00Z --follow
    """
    from tailrace.cli.output import emit, flush
    from tailrace.cli.records import line_of, parse_start, records_of
    from tailrace.codec.decoder import Decoder

    log = open_log(config, path)
    decoder = Decoder(log.registry())
    if most == 0:
        return
    try:
        for count, record in enumerate(records_of(log, topic, parse_start(start), follow=follow, idle=flush), start=1):
            emit(line_of(record, decoder))
            if count == most:
                break
        flush()
    except KeyboardInterrupt:
        flush()
