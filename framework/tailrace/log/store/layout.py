"""Where things lie below the log's folder. Builds paths and lists folders; reads no file's content.

<root>/topics/<topic>-<partition>/<20 digits>.log       record batches; the name is the first offset
                                 /<20 digits>.index     offsets to byte positions, a hint
                                 /<20 digits>.timeindex timestamps to offsets, a hint
                                 /committed             the high watermark, a hint
                                 /owner.json            the task that may write here
<root>/positions/<task>/<20 digits>.log                 the task's journal: positions and ends
                       /lock                            held while the task runs
<root>/bell                                             changes after every commit of any task
<root>/cleaner.lock                                     held while somebody cleans
<root>/registry/                                        schemas
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from tailrace.errors import Fatal

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_PARTITION_FOLDER = re.compile(r"([A-Za-z0-9._-]{1,249})-(0|[1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A partition and its folder."""

    topic: str
    partition: int
    folder: Path

    @property
    def name(self) -> str:
        """The partition's name, `<topic>-<partition>`."""
        return self.folder.name


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one log."""

    root: Path

    @property
    def topics(self) -> Path:
        """The folder of all partitions."""
        return self.root / "topics"

    @property
    def positions(self) -> Path:
        """The folder of all journals."""
        return self.root / "positions"

    @property
    def bell(self) -> Path:
        """The file that changes after every commit."""
        return self.root / "bell"

    @property
    def cleaner_lock(self) -> Path:
        """The file that is locked while somebody cleans."""
        return self.root / "cleaner.lock"

    def place(self, topic: str, partition: int) -> Place:
        """Return where a partition lies, whether it exists or not; raises `Fatal` for an impossible topic name."""
        if not _TOPIC.fullmatch(topic) or topic in {".", ".."}:
            raise Fatal(
                f"write to topic {topic!r}: the name is not possible",
                hint="Kafka's rule: 1 to 249 of the characters a-z A-Z 0-9 . _ -",
            )
        return Place(topic, partition, self.topics / f"{topic}-{partition}")

    def places(self) -> list[Place]:
        """Return all partitions that exist, sorted."""
        try:
            names = [entry.name for entry in self.topics.iterdir()]
        except FileNotFoundError:
            return []
        matches = (_PARTITION_FOLDER.fullmatch(name) for name in names)
        return sorted(Place(match[1], int(match[2]), self.topics / match[0]) for match in matches if match)

    def journal(self, task: str) -> Path:
        """Return the folder of a task's journal."""
        if not task:
            raise Fatal("open the log without a task's name")
        name = quote(task, safe=" @+=,")
        return self.positions / (name.replace(".", "%2E") if name in {".", ".."} else name)

    def folder(self, name: str) -> Path:
        """Return the folder of a partition by its name, `<topic>-<partition>`."""
        return self.topics / name

    def tasks(self) -> list[str]:
        """Return the tasks that have a journal, sorted."""
        try:
            return sorted(unquote(entry.name) for entry in self.positions.iterdir() if entry.is_dir())
        except FileNotFoundError:
            return []
