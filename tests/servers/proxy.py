"""A TCP proxy on 127.0.0.1 that breaks connections as networks do.

cut       end all connections with a reset; new ones are forwarded
refuse    cut, and refuse new connections
go_deaf   keep connections open, take new ones, and let no byte through in either direction
slow      forward so many bytes a second, of all connections and both directions together
resume    forward again, as fast as it goes: what was held back while deaf included
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

CHUNK = 256 * 1024
BREATH = 0.02
"""Seconds that a piece takes while slow."""
ARREARS = 1.0
"""Seconds of which a slow line makes good what it did not get to: a busy machine does not make it slower."""

RESET = struct.pack("ii", 1, 0)


class Link:
    """One connection: a client's socket, ours to the server, and what is on its way in each direction."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.peers = {client: server, server: client}
        self.waiting: dict[socket.socket, bytes] = {client: b"", server: b""}
        self.ended: set[socket.socket] = set()
        self.taken = 0

    def interest(self, sock: socket.socket) -> int:
        """What to wait for on `sock`: read only while its peer has taken what it was sent."""
        reads = sock not in self.ended and not self.waiting[self.peers[sock]]
        return (selectors.EVENT_READ if reads else 0) | (selectors.EVENT_WRITE if self.waiting[sock] else 0)

    def pump(self, sock: socket.socket, mask: int, most: int = CHUNK) -> bool:
        """Move bytes, at most `most` new ones; return whether the link goes on."""
        try:
            if mask & selectors.EVENT_READ:
                self._read(sock, most)
            if mask & selectors.EVENT_WRITE:
                self._write(sock)
        except OSError:
            return False
        return len(self.ended) < 2

    def _read(self, sock: socket.socket, most: int) -> None:
        data = sock.recv(most)
        self.taken += len(data)
        peer = self.peers[sock]
        if data:
            self.waiting[peer] = data
            self._write(peer)
        else:
            self.ended.add(sock)
            peer.shutdown(socket.SHUT_WR)

    def _write(self, sock: socket.socket) -> None:
        try:
            sent = sock.send(self.waiting[sock])
        except BlockingIOError:
            return
        self.waiting[sock] = self.waiting[sock][sent:]


class TcpProxy:
    """Forwards a port of its own to `host`:`port`; use it in a `with`. A method returns when it has taken effect."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._target = (host, port)
        self._selector = selectors.DefaultSelector()
        self._links: dict[socket.socket, Link] = {}
        self._listener: socket.socket | None = None
        self._deaf = False
        self._most = CHUNK
        self._free_at = 0.0
        self._stopped = False
        self._wake, self._woken = socket.socketpair()
        self._commands: list[tuple[Callable[[], None], threading.Event]] = []
        self._thread = threading.Thread(target=self._run, name="tcp-proxy", daemon=True)
        self.accepted = 0
        """Connections taken since the start."""
        self.port = 0
        self._listen()

    def __enter__(self) -> Self:
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._stop)
        self._thread.join(10)
        self._selector.close()
        self._wake.close()
        self._woken.close()

    def through(self, url: str) -> str:
        """Return `url` with the proxy's address in place of the server's."""
        parts = urlsplit(url)
        login, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{login}{at}127.0.0.1:{self.port}"))

    def cut(self) -> int:
        """Reset all connections; return how many there were."""
        counted: list[int] = []
        self._do(lambda: counted.append(self._cut()))
        return counted[0]

    def refuse(self) -> None:
        """Reset all connections and take no new ones."""
        self._do(self._refuse)

    def go_deaf(self) -> None:
        """Let nothing through any more, and close nothing."""
        self._do(lambda: self._set_deaf(True))

    def slow(self, bytes_per_second: int) -> None:
        """Forward so many bytes a second."""
        self._do(lambda: self._set_most(max(1, int(bytes_per_second * BREATH))))

    def resume(self) -> None:
        """Forward again, and take connections again."""
        self._do(self._resume)

    def _do(self, command: Callable[[], None]) -> None:
        done = threading.Event()
        self._commands.append((command, done))
        self._wake.send(b"x")
        assert done.wait(10), "the proxy's thread is gone"

    def _run(self) -> None:
        while not self._stopped:
            for key, mask in self._selector.select():
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if sock is self._woken:
                    self._obey()
                elif sock is self._listener:
                    self._accept(sock)
                elif sock in self._links:
                    self._pump(sock, mask)

    def _obey(self) -> None:
        self._woken.recv(100)
        while self._commands:
            command, done = self._commands.pop(0)
            command()
            done.set()

    def _accept(self, listener: socket.socket) -> None:
        client, _ = listener.accept()
        self.accepted += 1
        try:
            server = socket.create_connection(self._target, timeout=30)
        except OSError:
            _reset(client)
            return
        link = Link(client, server)
        for sock in (client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._links[sock] = link
            self._watch(sock)

    def _pump(self, sock: socket.socket, mask: int) -> None:
        link = self._links[sock]
        before = link.taken
        goes_on = link.pump(sock, mask, self._most)
        if self._most < CHUNK:
            self._pace(link.taken - before)
        for end in link.peers:
            if goes_on:
                self._watch(end)
            else:
                self._forget(end)
                end.close()

    def _pace(self, taken: int) -> None:
        now = time.monotonic()
        self._free_at = max(self._free_at, now - ARREARS) + BREATH * taken / self._most
        time.sleep(max(0.0, self._free_at - now))

    def _watch(self, sock: socket.socket) -> None:
        wanted = 0 if self._deaf else self._links[sock].interest(sock)
        watched = sock in self._selector.get_map()
        if wanted and watched:
            self._selector.modify(sock, wanted)
        elif wanted:
            self._selector.register(sock, wanted)
        elif watched:
            self._selector.unregister(sock)

    def _forget(self, sock: socket.socket) -> None:
        if sock in self._selector.get_map():
            self._selector.unregister(sock)
        del self._links[sock]

    def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port), backlog=50)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ)

    def _cut(self) -> int:
        ends = list(self._links)
        for sock in ends:
            self._forget(sock)
            _reset(sock)
        return len(ends) // 2

    def _refuse(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
        self._cut()

    def _resume(self) -> None:
        self._set_most(CHUNK)
        self._set_deaf(False)
        if self._listener is None:
            self._listen()

    def _set_most(self, most: int) -> None:
        self._most = most
        self._free_at = time.monotonic()

    def _set_deaf(self, deaf: bool) -> None:
        self._deaf = deaf
        for sock in list(self._links):
            self._watch(sock)

    def _stop(self) -> None:
        self._refuse()
        self._stopped = True


def _reset(sock: socket.socket) -> None:
    """Close with a RST, as a cable that is gone looks once something is sent."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()
