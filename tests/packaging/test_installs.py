"""Every way to install the project works, away from the checkout, in a virtual environment of its own.

The wheel is installed with all that it asks for, as a user does it. `pip install` of the sources differs in where our
files come from only, so it sees the libraries of the environment that runs the tests (not its copy of this project).
An editable install is what that environment itself has.

What pyproject.toml wants for a build is installed once. With an environment for each build, as pip makes it, every
build would compile the whole core: Cython's files would be newer than what the last one has left.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

DOCUMENT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = DOCUMENT["project"]

SOURCE_ROOTS = ("framework", "connectors", "schemas")

GROUPS = [PROJECT["entry-points"][group] for group in ("tailrace.sources", "tailrace.log_backends")]

LOAD_PLUGINS = """
from importlib.metadata import entry_points
import tailrace
groups = ["tailrace.sources", "tailrace.log_backends"]
print(*sorted(point.name for group in groups for point in entry_points(group=group) if point.load()))
print(tailrace.__file__)
"""


def run(command: list[str | Path], folder: Path) -> str:
    # Whether a core is made and found does not hang on its speed, and most of a build's time is what makes it fast.
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "CFLAGS": "-O0"}, capture_output=True, text=True, check=False,
        timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def works(folder: Path, programs: Path) -> Path:
    """Check command and plug-ins of an environment; return where the package was imported from."""
    assert "Usage" in run([programs / "tailrace", "--help"], folder)
    loaded, imported = run([programs / "python", "-c", LOAD_PLUGINS], folder).splitlines()
    assert {"bundled", "mysql", "postgres"} <= set(loaded.split())
    assert loaded.split() == sorted(name for group in GROUPS for name in group)
    return Path(imported)


class Environment:
    """A fresh virtual environment, which can be made to see what others have installed."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder / "venv", symlinks=True)
        self.folder = folder
        self.bin = folder / "venv" / "bin"
        site = run([self.bin / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder)
        self.site = Path(site.strip())

    def see(self, *sites: Path) -> None:
        # Folders named in a .pth file are searched, but .pth files in them (our editable install) are not read.
        (self.site / "libraries.pth").write_text("".join(f"{site}\n" for site in sites))

    def install(self, *arguments: str | Path) -> None:
        # Most of what is installed is never imported: what is may as well be compiled then.
        self.pip("install", "-qq", "--no-compile", *arguments)

    def pip(self, *arguments: str | Path) -> None:
        """Run the pip of the tests for this environment: making one of its own takes seconds."""
        run([sys.executable, "-m", "pip", "--python", self.bin / "python", *arguments], self.folder)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project's files as git knows them: a build leaves things behind in the tree that it builds."""
    copy = tmp_path_factory.mktemp("source")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for line in listed.stdout.splitlines():
        if (ROOT / line).is_file():
            (copy / line).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / line, copy / line)
    return copy


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment that has what a build of the project asks for, and nothing else."""
    environment = Environment(tmp_path_factory.mktemp("builder"))
    environment.install(*DOCUMENT["build-system"]["requires"])
    return environment


@pytest.fixture(scope="module")
def wheel(source: Path, builder: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    builder.pip("wheel", "-qq", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    yield Environment(tmp_path)
    shutil.rmtree(tmp_path)


def test_the_wheel_holds_our_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packages = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert {"tailrace", "tailrace_postgres", "tailrace_schemas"} <= packages
    assert packages == {path.parent.name for root in SOURCE_ROOTS for path in (ROOT / root).glob("*/__init__.py")}
    assert {f"{package}/py.typed" for package in packages} <= set(names)


def test_the_wheel_holds_the_whole_core_compiled_for_this_python(wheel: Path) -> None:
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    cores = {path.stem for path in ROOT.glob("framework/tailrace/core/*.pyx")}
    compiled = {Path(name).name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")}
    assert compiled == {f"{core}{suffix}" for core in cores}
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert wheel.name.split("-")[2:4] == [tag, tag]


def test_the_wheel_says_what_wheels_are_made_for(wheel: Path) -> None:
    metadata = zipfile.ZipFile(wheel).read(f"tailrace-{wheel.name.split('-')[1]}.dist-info/METADATA").decode()
    said = set(re.findall(r"^Classifier: Programming Language :: Python :: 3\.(\d+)$", metadata, re.MULTILINE))
    built = {build.removeprefix("cp3").removesuffix("-*") for build in DOCUMENT["tool"]["cibuildwheel"]["build"]}
    tried = re.search(r"^versions=\((.*)\)$", (ROOT / ".ci" / "wheels").read_text(encoding="utf-8"), re.MULTILINE)
    assert tried
    assert said == built == {version.removeprefix("3.") for version in tried.group(1).split()}


def test_the_wheel_brings_what_it_needs(wheel: Path, environment: Environment) -> None:
    environment.install(wheel)
    assert works(environment.folder, environment.bin).is_relative_to(environment.folder)
    environment.pip("check")


@pytest.mark.usefixtures("wheel")  # whose compiled core is still there, so that there is nothing to compile
def test_pip_install(environment: Environment, builder: Environment, source: Path) -> None:
    environment.see(builder.site, Path(sysconfig.get_path("purelib")))
    environment.install("--no-deps", "--no-build-isolation", source)
    assert works(environment.folder, environment.bin).is_relative_to(environment.folder)


def test_pip_install_editable(tmp_path: Path) -> None:
    told = json.loads(distribution("tailrace").read_text("direct_url.json") or "{}")
    assert told == {"dir_info": {"editable": True}, "url": ROOT.resolve().as_uri()}, "make venv installs it"
    imported = works(tmp_path, Path(sysconfig.get_path("scripts")))
    assert imported.samefile(ROOT / "framework" / "tailrace" / "__init__.py")
