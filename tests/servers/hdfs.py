"""A real HDFS: a NameNode and a DataNode of Hadoop's own jars, from Maven Central, on 127.0.0.1 and Java 17.

    hdfs    a cluster that all tests share; each uses a folder of its own, and leaves it running

Clients reach it through WebHDFS, as the user `tester`.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from servers import jars
from tailrace.demo.postgres import free_ports

VERSION = "3.4.2"
SOURCES = Path(__file__).with_name("hdfs")
FIXTURES = {"hdfs"}
START_TIMEOUT = 180.0

_NAME_NODE = "org.apache.hadoop.hdfs.server.namenode.NameNode"
_DATA_NODE = "org.apache.hadoop.hdfs.server.datanode.DataNode"
# Its web server's JAXB makes classes as Java 8 allowed it.
_JAVA = ("java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "--add-opens", "java.base/java.lang=ALL-UNNAMED")
_LOGGING = """
log4j.rootLogger=INFO,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d %p %c %m%n
"""


def programs() -> Path:
    """Return where the jars lie, or would lie."""
    return jars.place(f"hdfs-{VERSION}", SOURCES)


def header() -> list[str]:
    """Return one line for the head of the test report."""
    where = str(programs()) if programs().is_dir() else "not yet fetched, which the first test does"
    reason = jars.missing()
    return [f"hdfs {VERSION}: {f'MISSING, its tests are skipped: {reason}' if reason else where}"]


class Hdfs:
    """Use it in a `with`; the NameNode keeps running, the DataNode is killed and started at will."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port, *self._ports = free_ports(5)
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def options(self) -> Mapping[str, object]:
        """Return the options of fsspec's webhdfs."""
        return {"user": "tester"}

    def url(self, path: str) -> str:
        return f"webhdfs://127.0.0.1:{self.port}/{path}"

    def __enter__(self) -> Self:
        (self._folder / "webapps" / "hdfs").mkdir(parents=True)
        (self._folder / "webapps" / "datanode").mkdir()
        (self._folder / "log4j.properties").write_text(_LOGGING)
        rpc, data, ipc, http = self._ports
        self._settings("core-site.xml", {
            "fs.defaultFS": f"hdfs://127.0.0.1:{rpc}", "hadoop.tmp.dir": str(self._folder / "data"),
        })  # fmt: skip
        self._settings("hdfs-site.xml", {
            "dfs.replication": "1", "dfs.permissions.enabled": "false", "dfs.namenode.safemode.extension": "0",
            "dfs.namenode.http-address": f"127.0.0.1:{self.port}", "dfs.datanode.hostname": "127.0.0.1",
            "dfs.datanode.address": f"127.0.0.1:{data}", "dfs.datanode.ipc.address": f"127.0.0.1:{ipc}",
            "dfs.datanode.http.address": f"127.0.0.1:{http}", "dfs.heartbeat.interval": "1",
        })  # fmt: skip
        subprocess.run(
            self._command(_NAME_NODE, "-format", "-force", "-nonInteractive"),
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._start("name", _NAME_NODE)
        self.start_data_node()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self._nodes.values():
            node.kill()
            node.wait(30)

    def start_data_node(self) -> None:
        """Start the DataNode, and wait until the NameNode knows that it lives."""
        self._start("data", _DATA_NODE)
        self._wait()

    def kill_data_node(self) -> None:
        """End it at once; the NameNode goes on sending clients there for some seconds."""
        self._nodes["data"].kill()
        self._nodes["data"].wait(30)

    def _start(self, name: str, program: str) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            self._nodes[name] = subprocess.Popen(self._command(program), stdout=log, stderr=subprocess.STDOUT)

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [*_JAVA, "-cp", f"{self._folder}{os.pathsep}{programs() / 'jars' / '*'}", program, *arguments]

    def _settings(self, name: str, settings: Mapping[str, str]) -> None:
        told = "".join(
            f"<property><name>{key}</name><value>{value}</value></property>" for key, value in settings.items()
        )
        (self._folder / name).write_text(f"<configuration>{told}</configuration>")

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not self._living():
            for name, node in self._nodes.items():
                log = (self._folder / f"{name}.log").read_text(errors="replace")[-2000:]
                assert node.poll() is None, f"the {name} node ended: {log}"
                assert time.monotonic() < deadline, f"no living DataNode: {log}"
            time.sleep(0.1)

    def _living(self) -> bool:
        bean = "Hadoop:service=NameNode,name=FSNamesystemState"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/jmx?qry={bean}", timeout=10) as answer:
                beans = json.load(answer)["beans"]
        except (urllib.error.URLError, OSError):
            return False
        return bool(beans and beans[0]["NumLiveDataNodes"])


def _make(folder: Path) -> None:
    jars.copy_jars(SOURCES, folder / "jars")


@pytest.fixture(scope="session")
def hdfs() -> Iterator[Hdfs]:
    """Start a cluster, which all tests share."""
    if reason := jars.missing():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(f"NO HDFS: {reason}")
    jars.install(programs(), _make)
    with tempfile.TemporaryDirectory(prefix="tailrace-hdfs-") as folder, Hdfs(Path(folder)) as cluster:
        yield cluster
