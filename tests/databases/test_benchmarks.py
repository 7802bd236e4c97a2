"""Every benchmark of `make bench` still runs: as small as it goes, with results that pages can be written from."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from databases.debezium.install import missing
from measurement import ROOT
from report import details, summary
from servers.kafka import require as require_kafka
from servers.mysql import FLAVOURS
from servers.mysql import require as require_binlog
from servers.opensearch import require as require_opensearch
from servers.postgres import require

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
BENCHMARKS = re.findall(r"^BENCHMARKS \?= (.*)$", MAKEFILE, re.MULTILINE)[0].split()

MORE = {
    "stream_rate": ["--tables", "narrow,wide", "--changes", "deletes"],
    "snapshot": ["--tables", "typical"],
    "binlog_beside_debezium": ["--cases", "stream-single-rows,snapshot"],
    "latency": ["--rows", "100"],
    "binlog_latency": ["--rate", "500", "--rows", "100", "--servers", "mariadb"],
    "binlog_transaction": ["--servers", "mysql"],
    "kafka_stream": ["--against", "prepared,producer"],
    "takeover": ["--rows", "10", "--others", "0"],
}
"""All their cases would take a minute."""

JAVA = {"beside_debezium", "binlog_beside_debezium"}
KAFKA = {"kafka_stream", "takeover"}
MARKS = {
    **{name: [pytest.mark.java] for name in JAVA},
    **{name: [pytest.mark.kafka] for name in KAFKA},
    "search": [pytest.mark.opensearch],
}


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS.get(name, [])) for name in BENCHMARKS])
def test_a_benchmark_runs(name: str, tmp_path: Path) -> None:
    if name.startswith("binlog_"):
        for flavour in FLAVOURS:
            require_binlog(flavour)
    elif name == "search":
        require_opensearch()
    else:
        require(15)
    if name in KAFKA:
        require_kafka()
    if name in JAVA and (reason := missing()):
        assert os.environ.get("CI") != "true", reason
        pytest.skip(reason)
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), "--rows", "1000", "--rounds", "1"]
    done = subprocess.run(
        [*command, *MORE.get(name, [])],
        cwd=tmp_path, env={**os.environ, "BENCH_RESULTS": str(tmp_path)}, capture_output=True, text=True, check=False,
        timeout=560,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    result = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
    assert result["about"]
    assert result["rows"]
    assert len(result["runs"]) >= len(result["rows"])
    page = "\n".join([*details([result]), *summary([result])])
    assert all(f"| {row['case']} |" in page for row in result["rows"] if row["case"])
