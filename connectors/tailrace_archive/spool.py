"""A local folder for unfinished files, which one process at a time has."""

from __future__ import annotations

import fcntl
import hashlib
import tempfile
from io import BufferedWriter
from pathlib import Path

from tailrace.errors import Retriable
from tailrace_archive.fault import local_faults


def spool_of(spool: Path | None, whose: str) -> Path:
    """Return the folder of `whose` unfinished files in `spool`; in that of temporary files if it is not set."""
    root = spool or Path(tempfile.gettempdir()) / "tailrace-archive"
    return root / hashlib.sha256(whose.encode()).hexdigest()[:24]


def lock(folder: Path, what: str, task: str) -> BufferedWriter:
    """Take a folder for this process, until the file that is returned is closed; make it, if need be.

    Raises `Retriable` while another process has it.
    """
    with local_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise Retriable(
            f"open {what}: another process here is writing it", hint=f"only one worker may run {task}"
        ) from error
    return file
