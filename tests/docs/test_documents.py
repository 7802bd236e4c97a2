"""What the documents say can be done: their commands exist, their configurations load, their files are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main
import yaml

from docs.blocks import PLACEHOLDER, ROOT, Block, blocks, commands, documents, missing_files
from docs.reference import references
from tailrace.cli.main import app
from tailrace.config.settings import load_settings
from tailrace.runtime.build import plan_worker

# typer exports this class of click's, wherever it has click from, but not its base.
UsageError = typer.BadParameter.__mro__[1]
assert issubclass(UsageError, Exception)

CONFIGS = [block for block in blocks("yaml") if "connectors:" in block.text]
EXAMPLES = sorted([*ROOT.glob("deploy/examples/*.yaml"), *ROOT.glob("deploy/compose/*.yaml")])
CHART = ROOT / "deploy/helm/tailrace"
CHARTS = sorted(CHART.glob("ci/*-values.yaml"))


def load(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Load a configuration as `tailrace run` does, its secrets given; return the names of what would run."""
    for name in PLACEHOLDER.findall(text):
        monkeypatch.setenv(name, "secret")
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return {task.name for task in plan_worker(load_settings(folder / "config.yaml")).tasks}


@pytest.mark.parametrize("block", CONFIGS, ids=str)
def test_a_configuration_in_a_document_loads(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(block.text, tmp_path, monkeypatch)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_loads(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(example.read_text(encoding="utf-8"), tmp_path, monkeypatch)


@pytest.mark.parametrize("values", CHARTS, ids=lambda path: path.name)
def test_what_a_chart_configures_loads(values: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, own = (yaml.safe_load(file.read_text(encoding="utf-8")) for file in (CHART / "values.yaml", values))
    assert own.keys() <= base.keys()
    config = base["config"] | own["config"]
    log = base["config"]["log"] | config["log"]  # as helm merges them; the template brings the path of the disk
    log |= {"path": "./data"} if log["type"] == "bundled" else {}
    assert load(yaml.safe_dump(config | {"log": log}), tmp_path, monkeypatch)


def test_compose_mounts_what_is_there_and_gives_what_configurations_ask_for() -> None:
    services = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text(encoding="utf-8"))["services"]
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert not source.startswith(".") or (ROOT / "deploy" / source).is_file(), volume
    asked = set(PLACEHOLDER.findall((ROOT / "deploy/compose/tailrace.yaml").read_text(encoding="utf-8")))
    assert asked
    assert asked == set(services["worker"]["environment"])


def test_there_are_configurations_to_load() -> None:
    assert CONFIGS
    assert EXAMPLES
    assert CHARTS


@pytest.mark.parametrize(("place", "command"), commands())
def test_a_command_in_a_document_exists(place: str, command: str) -> None:
    words = [word for word in shlex.split(command) if not re.fullmatch(r"[A-Z_]+=.*", word)]
    match Path(words[0]).name, *words[1:]:
        case ["tailrace", *arguments]:
            parse(arguments)
        case ["make", *targets]:
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
        case [
            "docker"
            | "helm"
            | "kubectl"
            | "systemctl"
            | "install"
            | "useradd"
            | "check"
            | "pip"
            | "git"
            | "cd"
            | "export"
            | "psql"
            | "ls"
            | "cat"
            | "python3",
            *_,
        ]:
            pass
        case _:
            pytest.fail(f"{place}: no test knows the command {words[0]}")


def parse(arguments: list[str]) -> None:
    """Parse a command line down to the last word, and run nothing; raises `UsageError` on what is not known."""
    command: Any = typer.main.get_command(app)
    while arguments and hasattr(command, "commands"):
        name, *arguments = arguments
        if name not in command.commands:
            raise typer.BadParameter(f"no command {name}")
        command = command.commands[name]
    if not {"--help", "-h", "--version"} & set(arguments):
        command.make_context(command.name, list(arguments))


@pytest.mark.parametrize(
    "command", [["nonsense"], ["tail", "--nonsense", "topic"], ["run"], ["schemas", "nonsense"]], ids=" ".join
)
def test_a_command_that_does_not_exist_is_noticed(command: list[str]) -> None:
    with pytest.raises(UsageError):
        parse(command)


@pytest.mark.parametrize("document", documents(), ids=str)
def test_files_that_a_document_names_are_there(document: Path) -> None:
    assert missing_files(document, (ROOT / document).read_text(encoding="utf-8")) == []


def test_a_file_that_is_not_there_is_noticed() -> None:
    text = "`runtime/task.py` `framework/tailrace/` `no/such.py` [here](no-such.md) [there](README.md)"
    assert missing_files(Path("README.md"), text) == ["no/such.py", "no-such.md"]


@pytest.mark.parametrize("path", references(), ids=lambda path: path.name)
def test_a_reference_is_what_the_code_says(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == references()[path], "write it anew: make reference"
