"""Archives the records of a topic of its own until there are so many: a process to be killed.

python -m lake.writer FOLDER COUNT SETTINGS    the settings of the sink, as JSON

Every fifth record is followed by a commit and a line on stdout; what can be tried again is, with a line, too.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from pathlib import Path

from lake.records import Topic
from tailrace.errors import Retriable
from tailrace_archive.config import ArchiveConfig
from tailrace_archive.sink import ArchiveSink

EVERY = 5


def write(folder: Path, count: int, settings: dict[str, object]) -> None:
    topic = Topic(folder)
    config = ArchiveConfig.model_validate(settings)
    while True:
        sink = ArchiveSink("lake", config)
        try:
            with closing(sink):
                position = sink.open("lake") or {}
                for first in range(int(str(position.get("next", 0))), count, EVERY):
                    sink.write([topic.item(number) for number in range(first, first + EVERY)])
                    sink.commit({"next": first + EVERY})
                    say(f"committed {first + EVERY}")
        except Retriable as error:
            say(f"again: {error}")
            time.sleep(0.2)
        else:
            return


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]))
