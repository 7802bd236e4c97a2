"""The jars of a Kafka broker, put into the cache once; needs Java 17 and Maven.

Maven copies what `broker/pom.xml` lists from Maven Central. Beside the jars lie `Broker.java`, compiled, and an archive
of the classes that a broker loads, which halves the time that it takes to start.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from databases.debezium.install import cache_folder

VERSION = "4.2.2"
SOURCES = Path(__file__).with_name("broker")
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the jars lie, and those that are made of our own sources."""

    folder: Path

    @property
    def jars(self) -> Path:
        return self.folder / "jars"

    @property
    def broker(self) -> Path:
        return self.folder / "broker.jar"

    @property
    def archive(self) -> Path:
        return self.folder / "classes.jsa"

    @property
    def class_path(self) -> str:
        """What `java -cp` needs; each jar by its name, in order: the archive of classes holds for just that."""
        return os.pathsep.join(map(str, [*sorted(self.jars.glob("*.jar")), self.broker]))

    def java(self, main: str, *options: str, heap_mb: int = 256, class_path: str | None = None) -> list[str]:
        """Return the command that runs a class of Kafka's, or of `class_path`, which starts with Kafka's."""
        sharing = [f"-XX:SharedArchiveFile={self.archive}"] if self.archive.exists() else []
        fixed = [f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        return ["java", *sharing, *fixed, *options, "-cp", class_path or self.class_path, main]


def missing() -> str:
    """Return why a broker cannot run here, or an empty string where it is installed or can be."""
    absent = [name for name in ("java", "javac", "jar", "mvn") if shutil.which(name) is None]
    return f"{', '.join(absent)} not found on PATH; install a JDK, version 17 or later, and Maven" if absent else ""


def find() -> Programs:
    """Return where the programs lie, or would lie."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(SOURCES.iterdir()))).hexdigest()[:12]
    return Programs(cache_folder() / f"kafka-{VERSION}-{digest}")


def install() -> Programs:
    """Return the programs, fetched and made first if they are not there; safe to run from several processes at once."""
    programs = find()
    if not programs.folder.is_dir():
        programs.folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=programs.folder.parent) as work:
            made = Programs(Path(work) / "kafka")
            _fetch(made.jars)
            _compile(made)
            _publish(made.folder, programs.folder)
    return programs


def _fetch(jars: Path) -> None:
    command = ["mvn", "--quiet", "--batch-mode", "--file", str(SOURCES / "pom.xml"), COPY, "-DincludeScope=runtime"]
    subprocess.run([*command, f"-DoutputDirectory={jars}"], check=True)


def _compile(made: Programs) -> None:
    classes = made.folder / "classes"
    source = SOURCES / "Broker.java"
    javac = ["javac", "-nowarn", "-proc:none", "-cp", f"{made.jars}/*", "-d", str(classes), str(source)]
    subprocess.run(javac, check=True)
    subprocess.run(["jar", "--create", "--file", str(made.broker), "-C", str(classes), "."], check=True)


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
