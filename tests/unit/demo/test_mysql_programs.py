"""How the demo finds a MySQL or MariaDB server, and what it says where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailrace.demo import mysql_programs
from tailrace.demo.mysql_programs import Flavour, find_programs
from tailrace.errors import Fatal

OLD_MYSQL = "Ver 5.7.44 for Linux on x86_64 (MySQL Community Server)"
MYSQL = "Ver 8.4.6 for macos15 on arm64 (Homebrew)"
MARIADB = "Ver 11.8.2-MariaDB-log for Linux on x86_64 (MariaDB Server)"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without servers, but for those that a test puts on it."""
    monkeypatch.setattr(mysql_programs, "FOLDERS", (str(tmp_path / "usr/sbin"),))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def put(program: Path, version: str) -> Path:
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\necho '{program}  {version}'\n")
    program.chmod(0o755)
    return program


def test_without_a_server_it_says_how_to_get_one(machine: Path) -> None:
    with pytest.raises(Fatal, match=f"no MySQL 8.0 or newer is on this machine: no mysqld in PATH, {machine}") as none:
        find_programs("mysql")
    assert "install one (" in none.value.hint
    assert ".ci/unpack-server mysql" in none.value.hint
    assert "--database postgres" in none.value.hint


def test_one_that_is_too_old_is_named(machine: Path) -> None:
    old = put(machine / "bin/mysqld", OLD_MYSQL)
    with pytest.raises(Fatal) as fault:
        find_programs("mysql")
    assert fault.value.message.endswith(f"; {old} is 5.7")


@pytest.mark.parametrize(
    ("flavour", "version", "program"),
    [("mysql", MYSQL, "mysqld"), ("mariadb", MARIADB, "mariadbd"), ("mariadb", MARIADB, "mysqld")],
)
def test_what_the_system_has_comes_first(machine: Path, flavour: Flavour, version: str, program: str) -> None:
    put(machine / f"cache/tailrace/{flavour}-1/bin" / program, version)
    server = put(machine / "usr/sbin" / program, version)
    found = find_programs(flavour)
    assert (found.server, found.usr, found.places()) == (server, machine / "usr", {})


def test_one_is_not_taken_for_the_other(machine: Path) -> None:
    put(machine / "bin/mysqld", MARIADB)
    with pytest.raises(Fatal, match="no MySQL"):
        find_programs("mysql")
    put(machine / "usr/sbin/mysqld", MYSQL)
    assert find_programs("mariadb").server == machine / "bin/mysqld"


def test_an_unpacked_one_is_told_where_its_files_are(machine: Path) -> None:
    folder = machine / "cache/tailrace/mariadb-10.11"
    put(folder / "bin/mariadbd", MARIADB)
    (folder / "root/usr").mkdir(parents=True)
    places = find_programs("mariadb").places()
    assert places["basedir"] == str(folder / "root/usr")
    assert places["lc_messages_dir"] == str(folder / "root/usr/share/mysql")
