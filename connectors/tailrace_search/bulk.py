"""Bulk requests: what they say, and what came of each of their operations.

    {"index":{"_index":…,"_id":…,"version":…,"version_type":"external"}}      then the document on a line of its own
    {"delete":{"_index":…,"_id":…,"version":…,"version_type":"external"}}

The version is the record's offset in the log. A cluster refuses what is not newer than what it has (409): so an
operation that comes twice, or too late, changes nothing, and may be sent again, in any order, whatever became of it.

    below 300, and 404 for a delete     done
    409 version_conflict                it is there already
    429, 503                            the cluster is busy: this operation again, later
    403, a block                        a disk is full, an index read-only: Retriable
    404 index_not_found                 the index was deleted, or is of an earlier generation
    other 4xx                           the document does not fit the index: BadRecord

Source: OpenSearch's and Elasticsearch's manual, "Bulk"; `VersionType` in their sources.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord
from tailrace_search.client import Answer

PATH = "/_bulk?require_alias=true&filter_path=errors,items.*.status,items.*.error"
_NO_ERRORS = b'"errors":false'
_PREVIEW = re.compile(r" Preview of field's value: '.*'|, found \[.*\]|: \[?\".*\"\]?", re.DOTALL)


@dataclass(slots=True, eq=False)
class Operation:
    """One line of a bulk request: write `document` at `version`, or delete where it is None."""

    writer: str
    id: str
    version: int
    document: bytes | None
    delivery: Delivery | None = None
    tries: int = 0

    def lines(self) -> bytes:
        """Return what the request says."""
        kind = b"delete" if self.document is None else b"index"
        action = b'{"%b":{"_index":%b,"_id":%b,"version":%d,"version_type":"external"}}\n' % (
            kind,
            orjson.dumps(self.writer),
            orjson.dumps(self.id),
            self.version,
        )
        return action if self.document is None else b"%b%b\n" % (action, self.document)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An operation that was not done, and why."""

    operation: Operation
    status: int
    type: str
    reason: str

    @property
    def known(self) -> bool:
        """Whether the document is there already, in this version or a later one."""
        return self.status == 409

    @property
    def passing(self) -> bool:
        """Whether the cluster was only busy."""
        return self.status in {429, 503} and not self.blocked

    @property
    def blocked(self) -> bool:
        """Whether the index takes no writes: a full disk, or an operator."""
        return self.type == "cluster_block_exception"

    @property
    def gone(self) -> bool:
        """Whether there is no such index any more."""
        return self.type == "index_not_found_exception"

    def bad_record(self) -> BadRecord:
        """Return the reason, without values of the row."""
        reason = _PREVIEW.sub("", self.reason)
        hint = "the document does not fit the mapping of its index; tailrace rebuild makes one that fits the table"
        return BadRecord(f"index document: {self.type}: {reason}", hint=hint)


def refusals(answer: Answer, operations: Sequence[Operation]) -> Iterator[Refusal]:
    """Yield what was not done of a request that was answered with 200."""
    if _NO_ERRORS in answer.body[:64]:
        return
    for operation, item in zip(operations, answer.json["items"], strict=True):
        (told,) = item.values()
        error: dict[str, Any] | None = told.get("error")
        if error is not None:
            yield Refusal(operation, told["status"], str(error.get("type")), _reason(error))


def _reason(error: dict[str, Any]) -> str:
    cause = error.get("caused_by") or {}
    return str(error.get("reason")) + (f" ({cause['type']})" if cause.get("type") else "")
