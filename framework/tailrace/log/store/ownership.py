"""Who may write to a partition: `owner.json` in its folder.

    {"task": "shop", "end": [next offset, segment, size, last batch]}

`end` is the committed end as of the moment the task became the owner; later ends are in the task's journal. Written
only while the folder is locked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import Fatal
from tailrace.log.store import disk
from tailrace.log.store.end import End

FILE = "owner.json"


@dataclass(frozen=True, slots=True)
class Owner:
    """The task that may write, and the end it found."""

    task: str
    end: End


def read_owner(folder: Path) -> Owner | None:
    """Return the owner of a partition, None where nobody ever was; raises `Fatal` where the file is damaged."""
    path = folder / FILE
    data = disk.read_file(path)
    if data is None:
        return None
    try:
        content = json.loads(data)
        return Owner(str(content["task"]), End.from_json(content["end"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Fatal(
            f"read {path}: damaged: {error}",
            hint="restore the file, or remove it: then the partition's end is taken from `committed` beside it",
        ) from error


def write_owner(folder: Path, owner: Owner) -> None:
    """Make `owner` the owner, durably and in one step."""
    content = json.dumps({"task": owner.task, "end": owner.end.to_json()})
    disk.replace_file(folder / FILE, content.encode())
