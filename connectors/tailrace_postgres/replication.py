"""The replication connection: what the server streams, and what we tell it of our progress.

It does not know what the messages say (`pgoutput.py`), nor which place may be confirmed (`stream.py`, `source.py`).
Source: Postgres manual, "Streaming Replication Protocol". Inside CopyBoth, big-endian:

    XLogData             w  start u64 · end of the server's log u64 · server's clock i64 · one pgoutput message
    keep-alive           k  end of the server's log u64 · server's clock i64 · answer at once u8
    status update        r  written u64 · flushed u64 · applied u64 · our clock i64, microseconds since 2000 ·
                            answer at once u8
"""

from __future__ import annotations

import time
from struct import Struct

import structlog
from psycopg import OperationalError, pq

from tailrace.core.pgoutput import Received, drain
from tailrace.errors import Fatal, Retriable
from tailrace_postgres.connection import Connection
from tailrace_postgres.fault import lost_connection, server_fault
from tailrace_postgres.libpq import copy_messages
from tailrace_postgres.lsn import POSTGRES_EPOCH_US, format_lsn
from tailrace_postgres.slot import RESET

log = structlog.get_logger()

_KEEP_ALIVE = Struct(">cQqB")
_STATUS = Struct(">cQQQqB")
_ALIVE = ord("k")

ASK_EVERY = 0.1
"""Seconds between questions for the end of the server's log: often enough not to be waited for, and no load."""


TELL_EVERY = 0.02
"""Seconds between two words on what is durable here. The server works on each of them; small transactions are quicker
done than told of."""

GATHER = 0.002
"""Seconds from one look at a stream that pours to the next. A client that is quicker than the server would otherwise
find a few rows at each of its looks, and look all the time: what a batch costs would fall on these few."""

POURS = 32
"""Messages that one look has to bring for the next one to be worth a wait, of at most"""

PLENTY = 64 * 1024
"""bytes: what brings more is no small batch, and may soon fill the socket's buffers."""

FAREWELL = 1.0
"""Seconds that the server may take to end a stream; one in the middle of a large transaction takes longer."""


class Replication:
    """A connection that streams from a slot, once `start` has been called."""

    def __init__(self, connection: Connection, silence_timeout: float) -> None:
        self.connection = connection
        self._pgconn = connection.pgconn
        self._messages = copy_messages(connection.pgconn)
        self._silence_timeout = silence_timeout
        self._status_interval = 10.0
        self._confirmed = 0
        self._known = 0  # what the server was told of it
        self._owes_answer = False
        self._told = 0.0
        self._asked = 0.0
        self._unsent = False
        self._received = 0.0
        self._pours = False
        self.heard = time.monotonic()
        self.server_end = 0
        """The end of the server's log, as its keep-alives say."""

    @property
    def socket(self) -> int:
        """To be waited for: readable when there is something to receive."""
        return self._pgconn.socket

    @property
    def unsent(self) -> bool:
        """Whether something waits for the socket to become writable."""
        return self._unsent

    @property
    def due(self) -> float:
        """When to receive again, by the monotonic clock, for the server to hear of what is durable here."""
        return self._told + TELL_EVERY if self._confirmed > self._known else float("inf")

    def start(
        self, slot: str, lsn: int, publication: str, *, confirmed: int, sender_timeout: float, binary: bool
    ) -> None:  # fmt: skip
        """Stream from `lsn`, `confirmed` being durable. `sender_timeout` is the server's patience in seconds, or 0.

        Values come as text or, with `binary`, in the binary form of their types.
        """
        if sender_timeout:
            self._status_interval = min(self._status_interval, sender_timeout / 3)
        quoted = publication.replace('"', '""').replace("'", "''")
        form = ", binary 'true'" if binary else ""
        self.connection.send(
            f"START_REPLICATION SLOT {slot} LOGICAL {format_lsn(lsn)} "
            f"(proto_version '1', publication_names '\"{quoted}\"', messages 'true'{form})"
        )
        results = self.connection.results(time.monotonic() + 60.0)
        if not results or results[0].status != pq.ExecStatus.COPY_BOTH:
            raise Fatal(f"start of replication on slot {slot}: the server does not stream")
        self._confirmed = self._known = confirmed
        self.heard = self._told = time.monotonic()

    def receive(self, most: int, most_bytes: int) -> list[Received]:
        """Return what is there, without waiting; raises `Retriable` when the stream has ended or fallen silent.

        While much comes in little pieces, looks for it are `GATHER` apart.
        """
        received: list[Received] = []
        if (now := time.monotonic()) >= self.due:
            self._tell(now, ask=False)
        if self._pours and (early := self._received + GATHER - now) > 0:
            time.sleep(early)
        try:
            size = self._drain(received, most, most_bytes)
        except OperationalError as error:
            raise self._broken(error) from error
        self._pours = len(received) >= POURS and size < PLENTY
        self._received = time.monotonic()
        self._watch(heard=bool(received))
        return received

    def _drain(self, received: list[Received], most: int, most_bytes: int) -> int:
        """Read on as long as reading brings something: what one read brings, 16 KiB, is few of the larger rows.

        Returns the bytes taken.
        """
        size, read = 0, -1
        while True:
            got, taken = drain(self._messages, received, most, most_bytes - size)
            size += taken
            if got is None:
                return size
            length, data = got
            if length > 0:
                received.append(self._keep_alive(data))
            elif length < 0:
                raise self._ended()
            elif len(received) == read:
                return size
            else:
                read = len(received)
                self._pgconn.consume_input()

    def hold(self) -> None:
        """Nothing is received for now, by our own choice: that is not the server's silence."""
        self.heard = time.monotonic()

    def confirm(self, lsn: int) -> None:
        """Everything before `lsn` is durable here; tell the server, and answer what it asked.

        To be called often: this is also where the server learns that we are alive.
        """
        now = time.monotonic()
        self._confirmed = max(self._confirmed, lsn)
        if self._owes_answer or now >= min(self.due, self._told + self._status_interval):
            self._tell(now, ask=False)
        elif self._unsent:
            self._flush()

    def ask(self) -> None:
        """Ask for the end of the server's log; a keep-alive with it comes after all that was sent before."""
        now = time.monotonic()
        if now - self._asked >= ASK_EVERY:
            self._asked = now
            self._tell(now, ask=True)

    def finish(self) -> None:
        """End the stream in good order, so that the server takes note of what was confirmed last.

        Hanging up with messages of the server unread would reset the connection, and our own last words with it. Waits
        `FAREWELL` seconds at most; a connection that is broken already is left as it is.
        """
        deadline = time.monotonic() + FAREWELL
        try:
            if self._confirmed > self._known:
                self._tell(time.monotonic(), ask=False)
            self._pgconn.put_copy_end()
            self.connection.flush(deadline)
            while (length := self._pgconn.get_copy_data(1)[0]) >= 0:
                if length == 0:
                    self.connection.wait(deadline)
                    self._pgconn.consume_input()
                elif time.monotonic() > deadline:
                    return
        except (OperationalError, Retriable, Fatal):
            return

    def _tell(self, now: float, *, ask: bool) -> None:
        clock = time.time_ns() // 1000 - POSTGRES_EPOCH_US
        at = self._confirmed
        try:
            self._pgconn.put_copy_data(_STATUS.pack(b"r", at, at, at, clock, ask))
        except OperationalError as error:
            raise self._broken(error) from error
        self._told, self._known, self._owes_answer = now, at, False
        self._flush()

    def _flush(self) -> None:
        try:
            self._unsent = self._pgconn.flush() == 1
        except OperationalError as error:
            raise self._broken(error) from error

    def _keep_alive(self, data: memoryview) -> Received:
        if data[0] != _ALIVE:
            raise Fatal(f"replication message of type {data[0]} is unknown", hint="please report it")
        _, end, _, answer = _KEEP_ALIVE.unpack_from(data)
        self._owes_answer = self._owes_answer or bool(answer)
        self.server_end = max(self.server_end, end)
        return Received(end, None)

    def _watch(self, *, heard: bool) -> None:
        now = time.monotonic()
        if heard:
            self.heard = now
        elif now - self.heard > self._silence_timeout:
            raise Retriable(
                f"nothing heard from the server for {round(now - self.heard)} s",
                hint="the connection is taken for broken; raise silence_timeout if the server needs longer",
            )
        elif now - self.heard > self._silence_timeout / 3:
            self.ask()

    def _ended(self) -> Retriable | Fatal:
        result = self._pgconn.get_result()
        if result is not None and result.status == pq.ExecStatus.FATAL_ERROR:
            return _stream_fault(result)
        return Retriable("the server ended the stream", hint="it is shutting down", retry_after=1.0, patient=True)

    def _broken(self, error: OperationalError) -> Retriable | Fatal:
        """Say what a broken connection means: the server's last words, where it had any."""
        try:
            result = self._pgconn.get_result()
        except OperationalError:
            result = None
        if result is not None and result.status == pq.ExecStatus.FATAL_ERROR:
            return _stream_fault(result)
        return lost_connection(str(error))


def _stream_fault(result: pq.abc.PGresult) -> Retriable | Fatal:
    fault = server_fault(result)
    if isinstance(fault, Retriable):
        return fault
    hint = fault.hint or f"if the slot can no longer serve, drop it, then {RESET}"
    return Fatal(fault.message, hint=hint)
