"""The jars of an OpenSearch node with its security plug-in, put into the cache once; needs Java 17 and Maven.

Maven copies what `opensearch/pom.xml` lists from Maven Central; the plug-in comes as an archive of its jars and its
files. Beside them lie `Node.java`, compiled, and an archive of the classes that a node loads, for a quicker start.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from databases.debezium.install import cache_folder

VERSION = "2.19.4"
SOURCES = Path(__file__).with_name("opensearch")
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the jars lie, the node's own, and the files of the security plug-in."""

    folder: Path

    @property
    def jars(self) -> Path:
        return self.folder / "jars"

    @property
    def security(self) -> Path:
        return self.folder / "security"

    @property
    def node(self) -> Path:
        return self.folder / "node.jar"

    @property
    def archive(self) -> Path:
        return self.folder / "classes.jsa"

    def java(self, *options: str, heap_mb: int) -> list[str]:
        """Return the command that runs a node; its arguments are to follow."""
        class_path = os.pathsep.join(map(str, [*sorted(self.jars.glob("*.jar")), self.node]))
        sharing = [f"-XX:SharedArchiveFile={self.archive}"] if self.archive.exists() else []
        fixed = [f"-Xms{heap_mb}m", f"-Xmx{heap_mb}m", "-XX:+UseSerialGC"]
        return ["java", *sharing, *fixed, *options, "-cp", class_path, "Node"]


def missing() -> str:
    """Return why a node cannot run here, or an empty string where it is installed or can be."""
    absent = [name for name in ("java", "javac", "jar", "mvn") if shutil.which(name) is None]
    return f"{', '.join(absent)} not found on PATH; install a JDK, version 17 or later, and Maven" if absent else ""


def find() -> Programs:
    """Return where the programs lie, or would lie."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(SOURCES.iterdir()))).hexdigest()[:12]
    return Programs(cache_folder() / f"opensearch-{VERSION}-{digest}")


def install() -> Programs:
    """Return the programs, fetched and made first if they are not there; safe to run from several processes at once."""
    programs = find()
    if not programs.folder.is_dir():
        programs.folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=programs.folder.parent) as work:
            made = Programs(Path(work) / "opensearch")
            _fetch(made)
            _compile(made)
            _publish(made.folder, programs.folder)
    return programs


def _fetch(made: Programs) -> None:
    command = ["mvn", "--quiet", "--batch-mode", "--file", str(SOURCES / "pom.xml"), COPY, "-DincludeScope=runtime"]
    subprocess.run([*command, f"-DoutputDirectory={made.jars}"], check=True)
    (plugin,) = made.jars.glob("opensearch-security-*.zip")
    with zipfile.ZipFile(plugin) as archive:
        archive.extractall(made.security)
    plugin.unlink()
    # On the class path of one process there is room for one version of each library: the node's.
    there = {_library(jar) for jar in made.jars.glob("*.jar")}
    for jar in made.security.glob("*.jar"):
        if _library(jar) not in there:
            shutil.move(jar, made.jars / jar.name)


def _library(jar: Path) -> str:
    return re.sub(r"-\d.*", "", jar.name)


def _compile(made: Programs) -> None:
    classes = made.folder / "classes"
    source = SOURCES / "Node.java"
    javac = ["javac", "-nowarn", "-proc:none", "-cp", f"{made.jars}/*", "-d", str(classes), str(source)]
    subprocess.run(javac, check=True)
    subprocess.run(["jar", "--create", "--file", str(made.node), "-C", str(classes), "."], check=True)


def _publish(made: Path, place: Path) -> None:
    """Move a finished folder to its place, unless another process was first."""
    try:
        made.rename(place)
    except OSError:
        if not place.is_dir():
            raise


if __name__ == "__main__":
    if reason := missing():
        sys.exit(f"error: {reason}")
    sys.stdout.write(f"{install().folder}\n")
