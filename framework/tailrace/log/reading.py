"""What the readers of all logs share: where to begin, globs of topics, and positions of one offset per partition."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import translate

from tailrace.errors import Fatal
from tailrace.log.backend import Start
from tailrace.position import Position

_NO_TOPIC = r"(?!)"


def topic_matcher(globs: Sequence[str]) -> Callable[[str], object]:
    """Return what tells, by something true, that a topic matches one of the globs."""
    return re.compile("|".join(map(translate, globs)) or _NO_TOPIC).match


def offsets_of(position: Position) -> dict[str, int]:
    """Return the offsets of a position; raises `Fatal` where it is none of a reader's."""
    offsets = {name: offset for name, offset in position.items() if isinstance(offset, int)}
    if len(offsets) != len(position):
        raise Fatal(f"read the log from position {dict(position)}: not offsets by partition")
    return offsets


def place_of(name: str) -> tuple[str, int]:
    """Return topic and partition of a name in a position, `shop.public.orders-0`; raises `Fatal` where it is none."""
    topic, _, number = name.rpartition("-")
    if not topic or not number.isdecimal():
        raise Fatal(f"read the log from a position with {name}: not a partition of a topic")
    return topic, int(number)


def readable(offsets: Mapping[str, int]) -> str:
    """Return offsets by partition for people."""
    return " ".join(f"{name}:{offset}" for name, offset in offsets.items())


def start_of(start: str | datetime) -> Start:
    """Return a sink's `start` setting as a log takes it."""
    match start:
        case datetime():
            return int((start if start.tzinfo else start.replace(tzinfo=UTC)).timestamp() * 1000)
        case "latest":
            return "latest"
        case _:
            return "earliest"
