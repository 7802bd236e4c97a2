"""The jars of a Kafka broker, put into the cache once; needs Java 17 and Maven.

Maven copies what `broker/pom.xml` lists from Maven Central. Beside the jars lie `Broker.java`, compiled, and an archive
of the classes that a broker loads, which halves the time that it takes to start.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from servers import jars

VERSION = "4.2.2"
SOURCES = Path(__file__).with_name("broker")


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
    return jars.missing()


def find() -> Programs:
    """Return where the programs lie, or would lie."""
    return Programs(jars.place(f"kafka-{VERSION}", SOURCES))


def install() -> Programs:
    """Return the programs, fetched and made first if they are not there; safe to run from several processes at once."""
    programs = find()
    jars.install(programs.folder, _make)
    return programs


def _make(folder: Path) -> None:
    made = Programs(folder)
    jars.copy_jars(SOURCES, made.jars)
    jars.make_jar(SOURCES / "Broker.java", made.jars, made.broker)


if __name__ == "__main__":
    if reason := missing():
        sys.exit(f"error: {reason}")
    sys.stdout.write(f"{install().folder}\n")
