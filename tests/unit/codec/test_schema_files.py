"""The schemas that are shipped as files are the ones that the codec uses."""

from __future__ import annotations

import json

import fastavro
import pytest

from tailrace.codec.avro_schema import avro_schema
from tailrace.codec.envelope import HEARTBEAT_KEY, HEARTBEAT_VALUE, TRANSACTION_KEY, TRANSACTION_VALUE
from tailrace_schemas import load, names

SCHEMAS = {
    "heartbeat-key": HEARTBEAT_KEY,
    "heartbeat-value": HEARTBEAT_VALUE,
    "transaction-key": TRANSACTION_KEY,
    "transaction-value": TRANSACTION_VALUE,
}


def test_all_files_are_known() -> None:
    assert names() == sorted(SCHEMAS)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_file_equals_what_the_codec_uses(name: str) -> None:
    assert load(name) == json.loads(json.dumps(avro_schema(SCHEMAS[name])))
    fastavro.parse_schema(dict(load(name)))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(KeyError, match="heartbeat-key, heartbeat-value"):
        load("heartbeat")
