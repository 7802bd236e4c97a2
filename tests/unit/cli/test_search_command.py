"""`tailrace search`, and a sink's task from the log into the embedded index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tailrace.cli.main import app
from tailrace.errors import ConfigError
from tailrace.event import Record
from tailrace.log.store.backend import BundledLog
from tailrace.log.store.settings import BundledLogConfig
from tailrace.testing.deliveries import Deliveries

SINK = "{type: search, topics: ['contract.*'], path: index}"


def config_with(folder: Path, sinks: str) -> Path:
    file = folder / "shop.yaml"
    file.write_text(f"log: {{type: bundled, path: log}}\nsinks: {{{sinks}}}\n")
    return file


def filled_log(folder: Path) -> None:
    log = BundledLog(BundledLogConfig(path=folder / "log"))
    told = Deliveries(folder / "log")
    writer = log.writer()
    writer.open("shop")
    for delivery in [*told.insert(1, name="red pear"), *told.insert(2, name="green pear"), *told.delete(2)]:
        record = delivery.record
        writer.write([Record(record.topic, record.key, record.value, record.timestamp_ms, record.headers)])
    writer.commit({"at": 1})
    writer.close()


def test_what_the_log_holds_is_found(tmp_path: Path) -> None:
    filled_log(tmp_path)
    file = config_with(tmp_path, f"find: {SINK}")
    run = CliRunner().invoke(app, ["run", str(file), "--until-current"])
    assert run.exit_code == 0, run.output
    found = CliRunner().invoke(app, ["search", str(file), "pear", "--json"])
    (line,) = found.stdout.splitlines()
    hit = json.loads(line)
    assert (hit["topic"], hit["id"], hit["document"]["name"]) == ("contract.public.items", "1", "red pear")
    told = CliRunner().invoke(app, ["search", str(file), "pear", "--topic", "contract.*"])
    assert told.stdout.startswith("contract.public.items  1  {")
    assert CliRunner().invoke(app, ["search", str(file), "plum"]).stdout == ""


@pytest.mark.parametrize(
    ("sinks", "options", "message"),
    [
        (f"find: {SINK}, other: {SINK}", [], "several sinks can be searched: find, other"),
        (f"find: {SINK}", ["--sink", "nobody"], "no sink named nobody"),
        ("", [], "no sink here can be searched"),
    ],
)
def test_which_sink_is_meant(tmp_path: Path, sinks: str, options: list[str], message: str) -> None:
    error = CliRunner().invoke(app, ["search", str(config_with(tmp_path, sinks)), "x", *options]).exception
    assert isinstance(error, ConfigError)
    assert message in error.message


def test_nothing_there_yet(tmp_path: Path) -> None:
    error = CliRunner().invoke(app, ["search", str(config_with(tmp_path, f"find: {SINK}")), "x"]).exception
    with pytest.raises(Exception, match="there is none"):
        raise error or AssertionError
