"""What lies in the binlog between a place and its end, read beside the stream and before it."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import closing
from typing import TypeAlias

from tailrace_mysql import event as binlog
from tailrace_mysql.config import BinlogConfig
from tailrace_mysql.connection import Connection
from tailrace_mysql.dump import Dump
from tailrace_mysql.place import BinlogPlace, rank, widened
from tailrace_mysql.position import StreamPosition
from tailrace_mysql.server import ServerFacts, binlog_status, parse_gtids

Placed: TypeAlias = tuple[BinlogPlace, binlog.Event]

_BESIDE = 2
"""Added to our number: 0 is the stream's, 1 that of branches."""


def events_after(
    connector: str, config: BinlogConfig, control: Connection, server: ServerFacts, start: StreamPosition
) -> Iterator[Placed]:
    """Yield the events from `start` to the end that the binlog has now, those of compressed transactions opened.

    Each comes with the place where it begins; inside a compressed transaction, where that ends. Raises as a dump does.
    """
    end = binlog_status(control, server.flavour)
    by_gtids = server.gtids and (server.flavour.mariadb or bool(start.gtids))
    executed = parse_gtids(start.gtids, server.flavour) if by_gtids else None
    if executed is None:
        if rank(start.file, start.pos) >= rank(end.file, end.pos):
            return
    elif str(executed) == str(parse_gtids(end.gtids, server.flavour)):
        return
    with closing(Dump.open(config, connector, control.host, beside=_BESIDE)) as dump:
        if executed is None:
            dump.start_at(start.file, start.pos)
        else:
            dump.start_after(executed)
        yield from _until(dump, start.file, start.pos, rank(end.file, end.pos))


def _until(dump: Dump, file: str, pos: int, end: int) -> Iterator[Placed]:
    while True:
        for data in dump.receive(1000, 1 << 20):
            event = binlog.decode(data, file)
            header, start = event.header, pos
            if isinstance(event, binlog.Rotate):
                file, pos = event.file, event.position
            elif isinstance(event, binlog.Heartbeat):
                file, pos = event.file or file, event.position
            elif header.end_pos and not header.artificial:
                pos = widened(pos, header.end_pos)
                start = pos - header.size
            yield from _opened(event, BinlogPlace(file, start), BinlogPlace(file, pos))
            if rank(file, pos) >= end:
                return
        if not dump.pending:
            select.select([dump.socket], [], [], 0.1)  # whether the server is silent for too long the dump knows


def _opened(event: binlog.Event, start: BinlogPlace, end: BinlogPlace) -> Iterator[Placed]:
    if not isinstance(event, binlog.TransactionPayload):
        yield start, event
        return
    for block in event.events(end.file):
        for inner in block:
            yield end, binlog.decode(inner, end.file)
