"""A source that keeps state in a topic of its own is given the log's reader."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from tailrace.codec.encoder import ChangeEncoder
from tailrace.event import Message
from tailrace.log.store.backend import BundledLog
from tailrace.log.store.settings import BundledLogConfig, TopicOverrides
from tailrace.runtime.recollection import recall
from tailrace.schema import Field, Schema
from tailrace.source import SourceConfig

TOPIC = "__tailrace-notes.shop"
KEY = Schema("struct", "notes.Key", fields=(Field("connector", Schema("string")),))
VALUE = Schema("struct", "notes.Note", fields=(Field("text", Schema("string", optional=True)),))


@pytest.mark.parametrize("form", ["avro", "json", "json_schema"])
def test_committed_records_are_recalled_whatever_their_format(
    tmp_path: Path, form: Literal["avro", "json", "json_schema"]
) -> None:
    log = BundledLog.at(tmp_path)
    assert list(recall(log, TOPIC)) == []
    encoder = ChangeEncoder(log.registry(), SourceConfig(type="notes", topic_prefix="shop", format=form))
    writer = log.writer()
    for commits, text in ((True, "one"), (True, None), (False, "never")):
        writer.open("shop")
        writer.write(encoder.encode([Message(TOPIC, KEY, {"connector": "shop"}, VALUE, {"text": text})]))
        if commits:
            writer.commit({"text": text})
        writer.close()
    assert [tuple(record) for record in recall(log, TOPIC)] == [
        ({"connector": "shop"}, {"text": "one"}),
        ({"connector": "shop"}, {"text": None}),
    ]


def test_internal_topics_are_kept_whole_in_one_partition(tmp_path: Path) -> None:
    config = BundledLogConfig(
        path=tmp_path, partitions=8, cleanup="compact", retention_hours=1, topics={"*": TopicOverrides(partitions=3)}
    )
    kept = config.for_topic(TOPIC)
    assert (kept.partitions, kept.cleanup, kept.retention_hours, kept.retention_bytes) == (1, "delete", None, None)
    assert config.for_topic("shop.notes").partitions == 3
