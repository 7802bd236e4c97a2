"""The bundled registry keeps what it answered, in any number of processes, through any torn tail."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from pathlib import Path

import pytest

from tailrace.codec.registry import IncompatibleSchema, UnknownSchema
from tailrace.codec.registry_store import BundledRegistry
from tailrace.errors import ConfigError, Fatal, Retriable, TailraceError


def record(*fields: str, default: bool = False) -> dict[str, object]:
    more = {"default": 0} if default else {}
    return {"type": "record", "name": "R", "fields": [{"name": name, "type": "int", **more} for name in fields]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "registry"


def test_an_empty_registry_needs_no_directory(path: Path) -> None:
    registry = BundledRegistry(path)
    assert registry.subjects() == []
    assert registry.compatibility() == "BACKWARD"
    assert registry.check("s-value", record("a")) == []
    assert not path.exists()
    with pytest.raises(UnknownSchema, match="no schema with id 1"):
        registry.by_id(1)
    with pytest.raises(UnknownSchema, match="no subject s-value"):
        registry.versions("s-value")


def test_ids_are_dense_and_the_same_under_every_subject(path: Path) -> None:
    registry = BundledRegistry(path)
    assert [registry.register(subject, record("a")).id for subject in ("s", "t")] == [1, 1]
    assert registry.register("s", record("a", "b", default=True)).id == 2
    assert registry.register("t", "string", force=True).id == 3
    assert [(version.version, version.id) for version in registry.versions("s")] == [(1, 1), (2, 2)]
    assert registry.subjects() == ["s", "t"]
    assert registry.by_id(2) == record("a", "b", default=True)


def test_registering_again_changes_nothing(path: Path) -> None:
    registry = BundledRegistry(path)
    first = registry.register("s", record("a"))
    registry.register("s", record("a", "b", default=True))
    size = (path / "registry.jsonl").stat().st_size
    other_order = dict(reversed(record("a").items()))
    assert BundledRegistry(path).register("s", other_order) == first
    assert (path / "registry.jsonl").stat().st_size == size


def test_an_incompatible_schema_is_refused_or_registered_with_what_it_breaks(path: Path) -> None:
    registry = BundledRegistry(path)
    registry.register("s", record("a"))
    assert registry.check("s", record("a", "b")) == ["b: added without a default"]
    with pytest.raises(IncompatibleSchema, match="b: added without a default") as caught:
        registry.register("s", record("a", "b"))
    assert caught.value.problems == ("b: added without a default",)
    forced = registry.register("s", record("a", "b"), force=True)
    assert (forced.version, forced.incompatible) == (2, "b: added without a default")
    assert BundledRegistry(path).versions("s") == registry.versions("s")
    assert BundledRegistry(path).register("s", record("a", "b")) == forced


def test_levels_are_global_or_a_subjects_own(path: Path) -> None:
    registry = BundledRegistry(path)
    registry.register("s", record("a"))
    registry.set_compatibility("FORWARD")
    registry.set_compatibility("NONE", "t")
    again = BundledRegistry(path)
    assert [again.compatibility(subject) for subject in (None, "s", "t")] == ["FORWARD", "FORWARD", "NONE"]
    assert again.register("s", record("a", "b")).version == 2
    with pytest.raises(ConfigError, match="BACKWARDS"):
        registry.set_compatibility("BACKWARDS")  # type: ignore[arg-type]


def test_transitive_levels_look_at_all_versions(path: Path) -> None:
    registry = BundledRegistry(path)
    registry.register("s", record("a"))
    registry.register("s", record())
    text = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "string", "default": ""}]}
    assert registry.check("s", text) == []
    registry.set_compatibility("BACKWARD_TRANSITIVE")
    assert registry.check("s", text) == ["a: changed from int to string"]


def test_what_another_process_registered_is_seen(path: Path) -> None:
    one, other = BundledRegistry(path), BundledRegistry(path)
    assert one.register("s", record("a")).id == 1
    assert other.register("s", record("b", default=True)).id == 2
    assert one.by_id(2) == record("b", default=True)
    assert one.subjects() == ["s"]


def test_a_torn_tail_of_any_length_is_cut_off(path: Path) -> None:
    registry = BundledRegistry(path)
    registry.register("s", record("a"))
    file = path / "registry.jsonl"
    whole = file.read_bytes()
    registry.register("s", record("a", "b", default=True))
    longer = file.read_bytes()
    schema_line = longer.index(b"\n", len(whole)) + 1
    for end in range(len(whole), len(longer)):
        file.write_bytes(longer[:end])
        reopened = BundledRegistry(path)
        assert len(reopened.versions("s")) == 1
        assert reopened.register("t", record("a")).id == 1
        registered = reopened.register("s", record("a", "b", default=True))
        assert (registered.version, registered.id) == (2, 2)
        lines = [json.loads(line) for line in file.read_bytes().splitlines()]
        assert len(lines) == 5, end
        assert end < schema_line or lines[2]["op"] == "schema"


def test_damage_inside_is_named_and_not_read_over(path: Path) -> None:
    registry = BundledRegistry(path)
    registry.register("s", record("a"))
    file = path / "registry.jsonl"
    size = len(file.read_bytes())
    for line in (b"not json\n", b'{"op":"version","subject":"s","version":2,"id":9}\n', b'{"op":"new"}\n', b"[]\n"):
        file.write_bytes(file.read_bytes()[:size] + line)
        with pytest.raises(Fatal, match=f"damaged at byte {size}"):
            BundledRegistry(path).subjects()
        with pytest.raises(Fatal, match=f"damaged at byte {size}"):
            registry.register("s", record("c"))


def _register_many(path: Path, worker: int) -> None:
    registry = BundledRegistry(path)
    for number in range(25):
        registry.register(f"s{number % 5}", record(f"f{number}"), force=True)
        registry.register(f"own{worker}", record(f"w{worker}n{number}"), force=True)


def test_several_processes_register_at_once(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_register_many, args=(path, worker)) for worker in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    registry = BundledRegistry(path)
    ids = set()
    for subject in registry.subjects():
        versions = registry.versions(subject)
        assert [version.version for version in versions] == list(range(1, len(versions) + 1))
        ids |= {version.id for version in versions}
    assert ids == set(range(1, 25 + 3 * 25 + 1))
    assert [len(registry.versions(f"s{number}")) for number in range(5)] == [5] * 5


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, Retriable), (errno.EIO, Fatal)])
def test_what_could_not_be_made_durable_is_not_registered(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[TailraceError]
) -> None:
    registry = BundledRegistry(path)
    registry.register("s", record("a"))

    def fail(_: int) -> None:
        raise OSError(number, "no luck")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(kind, match="cannot write registry"):
            registry.register("s", record())
    assert len(registry.versions("s")) == 1
    assert len(BundledRegistry(path).versions("s")) == 1
    assert registry.register("s", record()).version == 2


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Fatal, match=r"cannot write registry .*file/registry"):
        BundledRegistry(tmp_path / "file" / "registry").register("s", record("a"))
