"""The commands, on a log of their own: data on stdout, errors as one line on stderr, exit codes."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tailrace.cli import main as cli
from tailrace.event import Record
from tailrace.log.backend import LogBackend
from tailrace.log.store.backend import BundledLog
from tailrace.log.store.settings import BundledLogConfig
from tailrace.runtime.lock import WorkerLock
from tailrace.runtime.offsets import FileOffsets
from tailrace.runtime.restart import Failure
from tailrace.runtime.state import TaskState, WorkerState, state_file, write_state

Run = Callable[..., tuple[int, str, str]]

BASE = 1_767_225_600_000  # 2026-01-01T00:00:00Z
VALUE = {"type": "record", "name": "V", "fields": [{"name": "n", "type": ["null", "long"]}]}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tailrace", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A log with two topics, one of them in three partitions."""
    path = tmp_path / "data"
    log = BundledLog(BundledLogConfig(path=path, topics={"shop.many": {"partitions": 3}}))
    schema_id = log.registry().register("shop.orders-value", VALUE).id
    frame = b"\0" + schema_id.to_bytes(4, "big")
    with closing(log.writer()) as sink:
        sink.open("shop")
        sink.write(
            [
                Record(
                    "shop.orders",
                    b'{"id": 1}',
                    frame + b"\x02\x0e",
                    BASE,
                    [("a", b"text"), ("b", b"\xff"), ("c", None)],
                ),
                Record("shop.orders", b'{"id": 2}', frame + b"\x00", BASE + 1000),
                Record("shop.orders", b'{"id": 1}', None, BASE + 2000),
                *(Record("shop.many", b"%d" % number, b"%d" % number, BASE + number) for number in range(30)),
            ]
        )
        sink.commit({"lsn": 7})
    return path


@pytest.fixture
def config(tmp_path: Path, data: Path, strangers: None) -> Path:
    file = tmp_path / "worker.yaml"
    file.write_text(
        "log: {type: bundled, path: ./data}\n"
        "connectors: {shop: {type: lines, file: ./shop.txt, password: '${env:TAILRACE_NOT_SET}'}}\n"
        "sinks: {lake: {type: copy, topics: ['*'], file: ./lake.txt}}\n"
    )
    return file


def test_help_is_quick_and_every_command_has_an_example(run: Run) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    heavy = {"pydantic", "structlog", "rich", "fastavro", "psycopg"}
    code = f"import sys, tailrace.cli.main; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, "something heavy is imported"
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 2, "seconds of the processor"
    for command in ("run", "check", "topics", "tail", "status", "demo", "offsets show", "offsets set", "offsets reset",
                    "schemas list", "schemas show", "schemas check"):  # fmt: skip
        exit_code, out, _ = run(*command.split(), "--help")
        assert exit_code == 0
        assert f"  tailrace {command} " in out or f"  tailrace {command}\n" in out, f"{command} shows no example"


def test_version(run: Run) -> None:
    assert run("--version") == (0, "tailrace 0.1.0\n", "")


@pytest.mark.parametrize(
    "arguments", [["nope"], ["run"], ["tail"], ["tail", "x", "--max", "-1"], ["run", "x", "--nope"]]
)
def test_bad_usage_is_exit_code_2(run: Run, arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Error" in err


def test_a_bad_config_is_exit_code_2_and_one_line(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("connectors: {shop: {type: postgres, url: 'postgresql://u:hidden-pw@h/d', tabels: []}}")
    for command in (["run", file], ["check", file]):
        code, out, err = run(*command)
        assert (code, out) == (2, "")
        assert err == 'error: connectors.shop.tabels: unknown key, did you mean "tables"?\n'


def test_an_unknown_plug_in_lists_the_installed_ones(run: Run, tmp_path: Path, strangers: None) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("connectors: {shop: {type: postgre, url: x}}")
    code, _, err = run("check", file)
    assert code == 2
    assert err.splitlines() == [
        'error: connectors.shop.type: no source named "postgre" is installed, did you mean "postgres"?',
        "hint: installed are: lines, mariadb, mysql, postgres",
    ]
    file.write_text("connectors: {shop: {type: lines, file: x}}\nsinks: {lake: {type: pond, topics: ['*']}}")
    assert "installed are: archive, atomic, copy" in run("run", file)[2]
    file.write_text("log: {type: pulsar}\nconnectors: {shop: {type: lines, file: x}}")
    assert "installed are: bundled, kafka" in run("run", file)[2]
    file.write_text("connectors: {a: {type: lines, file: x, topic_prefix: b}, b: {type: lines, file: y}}")
    assert "is the prefix of connector a already" in run("run", file)[2]
    file.write_text("connectors: {shop: {type: lines, file: x, transforms: [{type: nop}]}}")
    assert 'connectors.shop.transforms[0].type: no transform named "nop" is installed' in run("run", file)[2]
    file.write_text("connectors: {shop: {type: lines, file: x}}")
    assert "no connector named nope" in run("run", file, "--connector", "nope")[2]


def test_topics(run: Run, data: Path, config: Path) -> None:
    code, out, err = run("topics", "--path", data)
    assert (code, err) == (0, "")
    header, *rows = [line.split() for line in out.splitlines()]
    assert header == ["TOPIC", "PARTITION", "FIRST", "NEXT", "BYTES"]
    assert [row[:4] for row in rows if row[0] == "shop.orders"] == [["shop.orders", "0", "0", "3"]]
    told = json.loads(run("topics", config, "--json")[1])
    assert [entry["topic"] for entry in told] == ["shop.many"] * 3 + ["shop.orders"]
    assert sum(entry["next_offset"] for entry in told if entry["topic"] == "shop.many") == 30


def test_no_log_there(run: Run, tmp_path: Path) -> None:
    code, _, err = run("topics", "--path", tmp_path / "nowhere")
    assert (code, err) == (2, f"error: no log at {tmp_path / 'nowhere'}: there is no such folder\n")
    assert run("topics")[0] == 2


def test_tail_prints_the_contract_s_lines(run: Run, data: Path, config: Path) -> None:
    code, out, err = run("tail", "shop.orders", "--path", data)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == (
        '{"topic": "shop.orders", "partition": 0, "offset": 0, "timestamp": 1767225600000, "key": {"id": 1}, '
        '"value": {"n": 7}, "headers": [["a", "text"], ["b", {"base64": "/w=="}], ["c", null]]}'
    )
    assert [json.loads(line)["value"] for line in lines] == [{"n": 7}, {"n": None}, None]
    assert run("tail", "shop.orders", "--config", config)[1] == out


@pytest.mark.parametrize(
    ("start", "offsets"),
    [
        ("earliest", [0, 1, 2]),
        ("latest", []),
        ("1", [1, 2]),
        ("99", []),
        (str(BASE + 500), [1, 2]),
        ("2026-01-01T00:00:01Z", [1, 2]),
        ("2026-01-01T00:00:02", [2]),
        ("2026-01-01T01:00:00+01:00", [0, 1, 2]),
    ],
)
def test_tail_begins_where_it_is_told(run: Run, data: Path, start: str, offsets: list[int]) -> None:
    code, out, _ = run("tail", "shop.orders", "--path", data, "--from", start)
    assert code == 0
    assert [json.loads(line)["offset"] for line in out.splitlines()] == offsets


def test_tail_refuses_what_is_no_start(run: Run, data: Path) -> None:
    code, _, err = run("tail", "shop.orders", "--path", data, "--from", "yesterday")
    assert code == 2
    assert "neither earliest, latest, an offset nor a time" in err


def test_tail_merges_partitions_by_time(run: Run, data: Path) -> None:
    out = run("tail", "shop.many", "--path", data)[1]
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["timestamp"] for record in records] == [BASE + number for number in range(30)]
    assert {record["partition"] for record in records} == {0, 1, 2}
    assert len(run("tail", "shop.many", "--path", data, "--max", "4")[1].splitlines()) == 4
    assert run("tail", "shop.many", "--path", data, "--max", "0") == (0, "", "")


def test_tail_of_a_topic_that_there_is_not(run: Run, data: Path) -> None:
    code, out, err = run("tail", "shop.order", "--path", data)
    assert (code, out) == (1, "")
    assert err.splitlines()[0] == "error: no topic shop.order"
    assert "did you mean shop.orders" in err


def tailrace(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from tailrace.cli.main import main; main()", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_tail_follows_until_ctrl_c(data: Path) -> None:
    with tailrace("tail", "shop.orders", "--path", data, "--follow", "--from", "2") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["offset"] == 2
        log: LogBackend = BundledLog(BundledLogConfig(path=data))
        with closing(log.writer()) as sink:
            sink.open("shop")
            sink.write([Record("shop.orders", b"1", b'"new"', BASE)])
            sink.commit({"lsn": 8})
            assert json.loads(process.stdout.readline())["value"] == "new"
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
        assert process.stderr.read() == ""


def test_a_reader_that_goes_away_is_no_error(data: Path) -> None:
    with tailrace("tail", "shop.many", "--path", data, "--follow") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        log: LogBackend = BundledLog(BundledLogConfig(path=data))
        with closing(log.writer()) as sink:
            sink.open("shop")
            sink.write([Record("shop.many", b"1", b"1", BASE)])
            sink.commit({"lsn": 8})
        assert process.wait(120) == 0
        assert process.stderr.read() == ""


def test_offsets(run: Run, config: Path) -> None:
    FileOffsets(config.parent / "data" / "worker" / "offsets").save("lake", {"shop.orders-0": 3})
    assert run("offsets", "show", config) == (0, 'shop  {"lsn": 7}\nlake  {"shop.orders-0": 3}\n', "")
    assert run("offsets", "set", config, "--connector", "lake", '{"shop.orders-0": 1}')[0] == 0
    assert run("offsets", "reset", config, "--connector", "shop")[0] == 0
    assert json.loads(run("offsets", "show", config, "--json")[1]) == {"shop": None, "lake": {"shop.orders-0": 1}}
    assert run("offsets", "set", config, "--connector", "shop", '{"lsn": 9}')[0] == 0
    assert run("offsets", "reset", config, "--connector", "lake")[0] == 0
    assert json.loads(run("offsets", "show", config, "--json")[1]) == {"shop": {"lsn": 9}, "lake": None}


def test_offsets_refuse_what_makes_no_sense(run: Run, config: Path) -> None:
    assert run("offsets", "set", config, "--connector", "shop", "seven")[0] == 2
    code, _, err = run("offsets", "reset", config, "--connector", "shopp")
    assert (code, "no task named shopp" in err) == (1, True)
    lock = WorkerLock(config.parent / "data")
    lock.acquire()
    code, _, err = run("offsets", "reset", config, "--connector", "shop")
    lock.release()
    assert code == 1
    assert f"while worker {os.getpid()} is running" in err


def test_schemas(run: Run, data: Path, config: Path, tmp_path: Path) -> None:
    out = run("schemas", "list", "--config", config)[1]
    assert out.splitlines()[1].split() == ["shop.orders-value", "1", "1", "BACKWARD", "-"]
    assert json.loads(run("schemas", "list", "--path", data, "--json")[1])[0]["subject"] == "shop.orders-value"
    assert json.loads(run("schemas", "show", "shop.orders-value", "--path", data)[1]) == VALUE
    assert json.loads(run("schemas", "show", "shop.orders-value", "--path", data, "--version", "1")[1]) == VALUE
    code, _, err = run("schemas", "show", "shop.orders-value", "--path", data, "--version", "2")
    assert (code, "there are: 1" in err) == (1, True)
    assert run("schemas", "show", "nope", "--path", data)[0] == 1
    file = tmp_path / "v.avsc"
    file.write_text(json.dumps(VALUE))
    assert run("schemas", "check", "shop.orders-value", file, "--path", data)[0] == 0
    broken = {**VALUE, "fields": [{"name": "n", "type": ["null", "long"]}, {"name": "m", "type": "string"}]}
    file.write_text(json.dumps(broken))
    code, out, _ = run("schemas", "check", "shop.orders-value", file, "--path", data)
    assert code == 1
    assert "m" in out
    file.write_text("{")
    assert run("schemas", "check", "shop.orders-value", file, "--path", data)[0] == 2


def test_check_prints_faults_with_their_mend(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "environment variable TAILRACE_NOT_SET is not set" in run("check", config)[2]
    monkeypatch.setenv("TAILRACE_NOT_SET", "x")
    code, out, _ = run("check", config)
    assert code == 1
    file = tmp_path / "shop.txt"
    assert f"fault  shop: file {file}\n       mend: touch {file}\n" in out
    file.touch()
    code, out, _ = run("check", config)
    assert code == 0
    assert out.splitlines()[0] == f"ok     {config}: 2 to run"
    assert f"ok     shop: file {file}" in out
    assert "ok     log: log folder " in out
    assert "no topic fits" not in out
    told = json.loads(run("check", config, "--json", "--connector", "shop")[1])
    assert {"connector": "shop", "ok": True, "what": f"file {file}", "mend": ""} in told


def test_status(run: Run, config: Path) -> None:
    assert run("status", config)[1].startswith("no worker has run on")
    assert json.loads(run("status", config, "--json")[1]) == {"running": False, "tasks": []}
    failure = Failure(kind="fatal", message="slot is lost", hint="make another")
    task = TaskState(
        name="shop", kind="source", type="lines", state="FAILED", healthy=False, reason="failed: slot is lost",
        position="0/16B3748", lag_bytes=10, lag_seconds=1.5, records=5, restarts=2, error=failure, warnings=["beware"],
        error_at="2026-01-31T12:00:00Z",
    )  # fmt: skip
    state = WorkerState(
        pid=1, version="0.1.0", config=str(config), started="2026-01-31T12:00:00Z", updated="2026-01-31T12:00:01Z",
        tasks=[task],
    )  # fmt: skip
    write_state(state_file(config.parent / "data"), state)
    code, out, _ = run("status", config)
    assert code == 0
    assert out.splitlines()[0] == "worker not running; this is what it left, as of 2026-01-31 12:00:01 UTC"
    for said in ("FAILED", "0/16B3748", "10 B, 1.5 s", "shop: failed: slot is lost", "shop: hint: make another",
                 "shop: warning: beware", "last error at 2026-01-31 12:00:00 UTC: slot is lost"):  # fmt: skip
        assert said in out
    lock = WorkerLock(config.parent / "data")
    lock.acquire()
    out, told = run("status", config)[1], json.loads(run("status", config, "--json")[1])
    lock.release()
    assert f"running as pid {os.getpid()}" in out
    assert told["running"] is True
    assert told["tasks"][0]["error"]["hint"] == "make another"


def test_a_state_of_another_version_is_said_so(run: Run, config: Path) -> None:
    file = state_file(config.parent / "data")
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    code, _, err = run("status", config)
    assert code == 1
    assert "not as this version of Tailrace writes it" in err
