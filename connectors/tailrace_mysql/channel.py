"""The socket of one connection, plain or TLS, after the login: payloads out, payloads in, never waiting on its own."""

from __future__ import annotations

import select
import socket
import ssl
import time

from tailrace_mysql.fault import NoAnswer, lost_connection
from tailrace_mysql.packet import Packets, framed


class Channel:
    """What the dump and the queries have in common. `heard` is when the other side last said anything, monotonic."""

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(0)
        self.socket = connected
        self.packets = Packets()
        self.heard = time.monotonic()

    @property
    def pending(self) -> bool:
        """Whether `receive` has something although the socket has nothing to read: it lies here, or in TLS."""
        return self.packets.ready or (isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0)

    def send(self, payload: bytes, deadline: float) -> None:
        """Send a command; raises `LostConnection`, and `NoAnswer` at `deadline` (monotonic)."""
        rest = memoryview(framed(payload))
        self.packets.sequence = 1
        while rest:
            try:
                rest = rest[self.socket.send(rest) :]
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                if not select.select([], [self.socket], [], max(0.0, deadline - time.monotonic()))[1]:
                    raise NoAnswer(
                        "the server takes nothing", hint="it is overloaded, or the network is broken"
                    ) from None
            except OSError as error:
                raise lost_connection(str(error)) from error

    def receive(self, most: int, most_bytes: int) -> list[bytes]:
        """Return payloads that are at hand: at most `most`, and none after `most_bytes` octets.

        Raises `LostConnection`.
        """
        payloads = self.packets.take(most, most_bytes)
        if payloads:
            return payloads
        self._fill(most_bytes)
        return self.packets.take(most, most_bytes)

    def receive_events(self, most: int, most_bytes: int) -> list[bytes]:
        """Return events of the binlog that are at hand, without their checksums, as `receive` does payloads.

        None: nothing is at hand, or a payload that is something else, for `Packets.take`. Raises `LostConnection`.
        """
        events = self.packets.take_events(most, most_bytes)
        if events or self.packets.ready:
            return events
        self._fill(most_bytes)
        return self.packets.take_events(most, most_bytes)

    def wait(self, deadline: float) -> None:
        """Wait until there may be something to receive; raises `NoAnswer` at `deadline`."""
        if not self.pending and not select.select([self.socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise NoAnswer("no answer from the server", hint="it is overloaded, or the network is broken")

    def _fill(self, most_bytes: int) -> None:
        """Read what is there, to about `most_bytes`; a single payload may be longer, and is read bit by bit."""
        taken = 0
        while taken < most_bytes:
            try:
                with self.packets.room() as room:
                    octets = self.socket.recv_into(room)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError as error:
                if taken:
                    return  # what came first may say why; the next call fails as well
                raise lost_connection(str(error)) from error
            if not octets:
                if taken:
                    return
                raise lost_connection("the server hung up")
            self.heard = time.monotonic()
            self.packets.fed(octets)
            taken += octets
