"""Compatible means readable, by fastavro's own resolution; and the bundled registry is a model of itself."""

from __future__ import annotations

import copy
import io
import random
import tempfile
from pathlib import Path

import fastavro
import pytest
from fastavro.utils import generate_one
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.codec.compatibility import unreadable
from tailrace.codec.registry_store import BundledRegistry
from unit.codec.compatibility.pairs import PAIRS, pairs

EVERY = 5
"""Of the pairs, every n-th is tried with data: fastavro's generator is slow."""


@pytest.mark.parametrize("start", range(EVERY))
def test_what_is_compatible_fastavro_reads(start: int) -> None:
    random.seed(start)
    tried = 0
    for number, (reader, writer) in enumerate(pairs()):
        if number % EVERY != start or unreadable(reader, writer):
            continue
        written = fastavro.parse_schema(copy.deepcopy(writer))
        read_as = fastavro.parse_schema(copy.deepcopy(reader))
        value = ascii_only(generate_one(written))
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, written, value)
        stream.seek(0)
        fastavro.schemaless_reader(stream, written, read_as)
        tried += 1
    assert tried > PAIRS / EVERY / 3


def ascii_only(value: object) -> object:
    """Bytes may be read as a string, which takes bytes that are one."""
    if isinstance(value, bytes):
        return bytes(octet & 0x7F for octet in value)
    if isinstance(value, dict):
        return {key: ascii_only(member) for key, member in value.items()}
    if isinstance(value, list):
        return [ascii_only(item) for item in value]
    return value


NAMES = st.sampled_from(["a-key", "a-value", "b-value"])
SCHEMAS = st.sampled_from(["int", "string", "long", '{"type":"array"}']).map(
    lambda name: {"type": "array", "items": "int"} if "array" in name else name
)
ACTIONS = st.lists(
    st.tuples(st.just("register"), NAMES, SCHEMAS)
    | st.tuples(st.just("reopen"), st.none(), st.none())
    | st.tuples(
        st.just("tear"), st.binary(min_size=1, max_size=6).map(lambda junk: junk.replace(b"\n", b"x")), st.none()
    ),
    max_size=20,
)


@given(ACTIONS)
@settings(max_examples=60, deadline=None)
def test_the_registry_keeps_what_it_answered(actions: list[tuple[str, object, object]]) -> None:
    versions: dict[str, list[object]] = {}
    ids: list[object] = []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        registries = [BundledRegistry(path), BundledRegistry(path)]
        for number, (action, what, schema) in enumerate(actions):
            registry = registries[number % 2]
            if action == "reopen":
                registries[number % 2] = BundledRegistry(path)
            elif action == "tear":
                with (path / "registry.jsonl").open("ab") as file:
                    file.write(what)  # type: ignore[arg-type]
            else:
                found = registry.register(str(what), schema, force=True)  # type: ignore[arg-type]
                known = versions.setdefault(str(what), [])
                if schema not in known:
                    known.append(schema)
                if schema not in ids:
                    ids.append(schema)
                assert (found.version, found.id) == (known.index(schema) + 1, ids.index(schema) + 1)
        for registry in registries:
            assert registry.subjects() == sorted(versions)
            for subject, known in versions.items():
                assert [each.schema for each in registry.versions(subject)] == known
            assert [registry.by_id(number + 1) for number in range(len(ids))] == ids
