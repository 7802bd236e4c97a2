"""The settings of the bundled log: what the `log:` block of a config file may say."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from tailrace.log.store.compression import Compression

Cleanup: TypeAlias = Literal["delete", "compact", "compact,delete"]

MEBIBYTE = 1024 * 1024

INTERNAL = "__tailrace-"
"""How the names of topics begin that sources keep for themselves."""
_KEPT_WHOLE = {"partitions": 1, "cleanup": "delete", "retention_hours": None, "retention_bytes": None}


class TopicSettings(BaseModel):
    """What can be set for the whole log, and for single topics."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    partitions: PositiveInt = Field(
        default=1, description="partitions of a new topic; an existing one keeps what it has"
    )
    compression: Compression = Field(default="lz4", description="none, lz4 or zstd; old and new may be mixed")
    segment_bytes: int = Field(
        default=128 * MEBIBYTE, ge=1024, le=2**31 - 1, description="size at which a new segment file is begun"
    )
    segment_hours: PositiveFloat = Field(
        default=168.0, description="age at which a new segment file is begun, so that a quiet topic can be cleaned too"
    )
    index_interval_bytes: int = Field(default=4096, ge=1, description="bytes of log between two entries of the indexes")
    cleanup: Cleanup = Field(
        default="delete", description="delete old segments, keep the last record of each key, or both"
    )
    retention_hours: PositiveFloat | None = Field(
        default=None, description="age at which segments are deleted; not set: never"
    )
    retention_bytes: PositiveInt | None = Field(
        default=None, description="size of a partition at which its oldest segments are deleted; not set: never"
    )
    delete_retention_hours: float = Field(
        default=24.0, ge=0, description="how long compaction keeps a tombstone, for readers that lag behind"
    )


class TopicOverrides(BaseModel):
    """Settings of the topics that match a glob; what is not set is as for the whole log."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    partitions: PositiveInt | None = None
    compression: Compression | None = None
    segment_bytes: int | None = Field(default=None, ge=1024, le=2**31 - 1)
    segment_hours: PositiveFloat | None = None
    index_interval_bytes: int | None = Field(default=None, ge=1)
    cleanup: Cleanup | None = None
    retention_hours: PositiveFloat | None = None
    retention_bytes: PositiveInt | None = None
    delete_retention_hours: float | None = Field(default=None, ge=0)


class BundledLogConfig(TopicSettings):
    """The `log:` block with `type: bundled`."""

    type: Literal["bundled"] = "bundled"
    path: Path = Field(description="folder of the log; created when missing")
    fsync: Literal["commit", "never"] | PositiveFloat = Field(
        default="commit",
        description="when commits are forced to the disk: every one, never, or every so many seconds; "
        "all but `commit` can lose what was acknowledged when the machine (not only a process) dies",
    )
    topics: dict[str, TopicOverrides] = Field(
        default={}, description="settings for topics by glob; the first that matches"
    )

    def for_topic(self, topic: str) -> TopicSettings:
        """Return the settings of `topic`."""
        own = {name: getattr(self, name) for name in TopicSettings.model_fields}
        if topic.startswith(INTERNAL):
            return TopicSettings(**(own | _KEPT_WHOLE))
        for glob, overrides in self.topics.items():
            if fnmatchcase(topic, glob):
                return TopicSettings(**(own | overrides.model_dump(exclude_none=True)))
        return TopicSettings(**own)
