"""Sends operations, several requests at a time, and sees to each until it is done or refused.

Nothing here has to keep an order: versions do. An operation that the cluster was too busy for is sent again by itself,
while later ones of the same document may have gone before; it is then refused as known.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

import orjson

from tailrace.errors import BadRecord, Fatal, Retriable
from tailrace_search.bulk import PATH, Operation, Refusal, refusals
from tailrace_search.client import LINES, Answer, Client, Lane, checked, refused

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_TRIES = 8
"""About fifteen seconds; then the task begins anew, which waits longer, and without end."""
_BUSY = {429, 502, 503, 504}


class Shipment:
    """`reject` is called with what the cluster will never take, `known` with what it has already."""

    def __init__(
        self,
        client: Client,
        requests: int,
        *,
        reject: Callable[[Operation, BadRecord], None],
        known: Callable[[Sequence[Operation]], None],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._idle: deque[Lane] = deque(client.lanes(requests))
        self._on_the_way: deque[tuple[Lane, Sequence[Operation]]] = deque()
        self._again: list[Operation] = []
        self._reject = reject
        self._known = known
        self._pause = pause
        self._pause_seconds = _FIRST_PAUSE

    def send(self, operations: Sequence[Operation]) -> None:
        """Send a request; waits for the oldest of those on the way where there are as many as may be."""
        if not operations:
            return
        if not self._idle:
            self._receive()
        lane = self._idle.popleft()
        lane.send("POST", PATH, b"".join([operation.lines() for operation in operations]), LINES)
        self._on_the_way.append((lane, operations))

    def drain(self) -> None:
        """Return when everything that was sent is done, refused, or known."""
        while self._on_the_way or self._again:
            while self._on_the_way:
                self._receive()
            if self._again:
                again, self._again = self._again, []
                self._pause(self._pause_seconds)
                self._pause_seconds = min(self._pause_seconds * 2, _LONGEST_PAUSE)
                self.send(again)
        self._pause_seconds = _FIRST_PAUSE

    def _receive(self) -> None:
        lane, operations = self._on_the_way.popleft()
        answer = lane.answer()
        self._idle.append(lane)
        if answer.status in _BUSY and "cluster_block_exception" not in answer.reason:
            self._later(operations, answer)
        elif answer.status == 413:
            self._in_halves(operations, lane)
        elif answer.status == 200:
            self._read(answer, operations, lane)
        else:
            checked(answer, f"bulk request to {lane.host}")
            raise Fatal(f"bulk request to {lane.host}: {answer.status} {answer.reason}")

    def _read(self, answer: Answer, operations: Sequence[Operation], lane: Lane) -> None:
        known: list[Operation] = []
        busy: list[Operation] = []
        for refusal in refusals(answer, operations):
            if refusal.known:
                known.append(refusal.operation)
            elif refusal.passing:
                busy.append(refusal.operation)
            else:
                self._settle(refusal, lane)
        if busy:
            self._later(busy, answer)
        if known:
            self._known(known)

    def _settle(self, refusal: Refusal, lane: Lane) -> None:
        what = f"bulk request to {lane.host}"
        if refusal.gone:
            raise IndexGone(refusal.operation.writer)
        if refusal.blocked or refusal.status in {401, 403}:
            raise refused(f"{refusal.type}: {refusal.reason}", what)
        if refusal.status >= 500:
            raise Retriable(f"{what}: {refusal.type}: {refusal.reason}", patient=True)
        self._reject(refusal.operation, refusal.bad_record())

    def _later(self, operations: Sequence[Operation], answer: Answer) -> None:
        for operation in operations:
            operation.tries += 1
            if operation.tries > _TRIES:
                raise Retriable(
                    f"bulk request: the cluster is busy: {answer.status} {answer.reason[:200]}",
                    hint="the task goes on by itself",
                    retry_after=answer.retry_after,
                    patient=True,
                )
        self._pause_seconds = max(self._pause_seconds, answer.retry_after or 0.0)
        self._again += operations

    def _in_halves(self, operations: Sequence[Operation], lane: Lane) -> None:
        """Send less at once: the cluster, or a proxy before it, takes no request of this size."""
        if len(operations) == 1:
            size = len(operations[0].lines())
            hint = "raise http.max_content_length of the cluster, or the limit of the proxy before it"
            self._reject(operations[0], BadRecord(f"index document of {size} bytes: {lane.host} takes less", hint=hint))
            return
        middle = len(operations) // 2
        for half in (operations[:middle], operations[middle:]):
            self.send(half)


class IndexGone(Exception):
    """Raised where the index, or the alias to write to, is not there any more."""

    def __init__(self, writer: str) -> None:
        super().__init__(writer)
        self.writer = writer


def document_bytes(document: dict[str, object]) -> bytes:
    """Return a document as JSON; integers of any size."""
    try:
        return orjson.dumps(document)
    except TypeError:  # beyond 64 bits
        import json

        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
