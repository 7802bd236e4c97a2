"""The jars of an OpenSearch node with its security plug-in, put into the cache once; needs Java 17 and Maven.

Maven copies what `opensearch/pom.xml` lists from Maven Central; the plug-in comes as an archive of its jars and its
files. Beside them lie `Node.java`, compiled, and an archive of the classes that a node loads, for a quicker start.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from servers import jars

VERSION = "2.19.4"
SOURCES = Path(__file__).with_name("opensearch")


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
    return jars.missing()


def find() -> Programs:
    """Return where the programs lie, or would lie."""
    return Programs(jars.place(f"opensearch-{VERSION}", SOURCES))


def install() -> Programs:
    """Return the programs, fetched and made first if they are not there; safe to run from several processes at once."""
    programs = find()
    jars.install(programs.folder, _make)
    return programs


def _make(folder: Path) -> None:
    made = Programs(folder)
    jars.copy_jars(SOURCES, made.jars)
    _add_plugin(made)
    jars.make_jar(SOURCES / "Node.java", made.jars, made.node)


def _add_plugin(made: Programs) -> None:
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


if __name__ == "__main__":
    if reason := missing():
        sys.exit(f"error: {reason}")
    sys.stdout.write(f"{install().folder}\n")
