"""A real schema registry with Confluent's REST API: Apicurio Registry, from Maven Central, on Java 17.

    registry_server   the address of a registry that all tests share; each uses subjects of its own

What is fetched lies in the cache that tests share, and is checked against its SHA-256. The newest Apicurio needs
Java 21. Karapace, the other registry that could serve, is not on PyPI.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from databases.debezium.install import alone, cache_folder
from tailrace.demo.postgres import free_port

VERSION = "2.6.13.Final"
ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
SHA256 = "3cda1b34aa020fb4ac4dd6a66018d757e81e437f97e20a1f92d366b70091c6ba"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
START_TIMEOUT = 180.0
FIXTURES = {"registry_server"}


def folder() -> Path:
    """Return where the unpacked registry lies, or would lie."""
    return cache_folder() / f"apicurio-{VERSION}"


def header() -> list[str]:
    """Return one line for the head of the test report."""
    where = str(folder()) if folder().is_dir() else "not yet fetched, which the first test does"
    return [f"apicurio {VERSION}: {f'MISSING, its tests are skipped: {reason}' if (reason := missing()) else where}"]


def missing() -> str:
    """Return why the registry cannot run here, or an empty string where it can."""
    absent = [name for name in ("java", "mvn") if shutil.which(name) is None]
    return f"{' and '.join(absent)} not found on PATH; install a JDK, version 17 or later, and Maven" if absent else ""


def install() -> Path:
    """Return the folder, filled first; safe to run from several processes at once."""
    place = folder()
    if not place.is_dir():
        with alone(), tempfile.TemporaryDirectory(dir=place.parent) as work:
            if not place.is_dir():  # else another process was first
                _fetch(Path(work))
                (Path(work) / "unpacked").rename(place)
    return place


def _fetch(work: Path) -> None:
    maven = ["mvn", "--quiet", "--batch-mode", COPY, f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={work}"]
    subprocess.run(maven, check=True)
    (archive,) = work.glob("*.tar.gz")
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert found == SHA256, f"{ARTIFACT} has SHA-256 {found}"
    with tarfile.open(archive) as tar:
        tar.extractall(work / "unpacked", filter="data")


@pytest.fixture(scope="session")
def registry_server() -> Iterator[str]:
    """Start the registry, its data in memory; yields the url that clients are given."""
    if reason := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(f"NO SCHEMA REGISTRY: {reason}")
    jar = install() / f"apicurio-registry-app-{VERSION}-runner.jar"
    port = free_port()
    options = ["-Xmx512m", "-XX:TieredStopAtLevel=1", "-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}"]
    with tempfile.TemporaryDirectory(prefix="apicurio-") as work:
        log = Path(work) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["java", *options, "-jar", str(jar)], cwd=work, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
            _await(url, process, log)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            with urllib.request.urlopen(f"{url}/subjects", timeout=10):
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the schema registry did not start:\n{log.read_text(errors='replace')[-5000:]}")
            time.sleep(0.2)
