"""Requests over slow lines, to a server that reads and answers when it likes."""

from __future__ import annotations

import socket
import threading

import pytest

from tailrace.errors import Retriable
from tailrace_search.access import AccessConfig
from tailrace_search.client import Client

SIZE = 32 * 1024 * 1024
"""More than the kernel's buffers hold on both sides."""
PAUSE = 1.5
"""Seconds: longer than a connection may take to be made here."""
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def serve(listener: socket.socket) -> None:
    """Answer a request without a body at once; then pause, take a request of `SIZE`, pause again, and answer it."""
    connection, _ = listener.accept()
    with connection:
        while b"\r\n\r\n" not in connection.recv(1024 * 1024):
            pass
        connection.sendall(ANSWER)
        threading.Event().wait(PAUSE)
        read = 0
        while read < SIZE and (piece := connection.recv(1024 * 1024)):
            read += len(piece)
        threading.Event().wait(PAUSE)
        connection.sendall(ANSWER)


def test_a_request_and_its_answer_may_take_longer_than_a_connection_to_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace_search.client._CONNECT_TIMEOUT", PAUSE / 3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = threading.Thread(target=serve, args=(listener,), daemon=True)
        server.start()
        client = Client(AccessConfig(type="opensearch", topics=["*"], urls=[url]))
        assert client.lines("/_bulk", b"x" * SIZE).status == 200
        client.close()
        server.join(60)


def hang_up(listener: socket.socket) -> None:
    """Take what is no TLS, and say nothing."""
    connection, _ = listener.accept()
    with connection:
        connection.recv(1024)


def test_a_cluster_that_hangs_up_may_speak_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = threading.Thread(target=hang_up, args=(listener,), daemon=True)
        server.start()
        client = Client(AccessConfig(type="opensearch", topics=["*"], urls=[url]))
        with pytest.raises(Retriable, match="closed connection without response") as caught:
            client.lines("/_bulk", b"{}")
        assert "https:" in caught.value.hint
        client.close()
        server.join(60)
