"""Servers that are a folder of jars: what Maven copies by a `pom.xml`, and a class of ours; made once, in the cache."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from databases.debezium.install import alone, cache_folder

_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def missing() -> str:
    """Return why such a server cannot run here, or an empty string where it is installed or can be."""
    absent = [name for name in ("java", "javac", "jar", "mvn") if shutil.which(name) is None]
    return f"{', '.join(absent)} not found on PATH; install a JDK, version 17 or later, and Maven" if absent else ""


def place(name: str, sources: Path) -> Path:
    """Return where a server lies, or would lie: another place for other `sources`."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources.iterdir()))).hexdigest()[:12]
    return cache_folder() / f"{name}-{digest}"


def install(folder: Path, make: Callable[[Path], None]) -> None:
    """Have `make` fill `folder`, if it is not there; safe to call from several processes at once."""
    if folder.is_dir():
        return
    with alone(), tempfile.TemporaryDirectory(dir=folder.parent) as work:
        if folder.is_dir():  # another process was first
            return
        made = Path(work) / "made"
        make(made)
        made.rename(folder)


def copy_jars(sources: Path, jars: Path) -> None:
    """Copy what the `pom.xml` of `sources` lists into `jars`."""
    command = ["mvn", "--quiet", "--batch-mode", "--file", str(sources / "pom.xml"), _COPY, "-DincludeScope=runtime"]
    subprocess.run([*command, f"-DoutputDirectory={jars}"], check=True)


def make_jar(source: Path, jars: Path, jar: Path) -> None:
    """Compile `source` against `jars` into `jar`."""
    classes = jar.with_name("classes")
    javac = ["javac", "-nowarn", "-proc:none", "-cp", f"{jars}/*", "-d", str(classes), str(source)]
    subprocess.run(javac, check=True)
    subprocess.run(["jar", "--create", "--file", str(jar), "-C", str(classes), "."], check=True)
