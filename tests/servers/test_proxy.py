"""The proxy that breaks connections for the tests."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from servers.proxy import TcpProxy


@pytest.fixture
def echo_port() -> Iterator[int]:
    """A server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=[client], daemon=True).start()

    def echo(client: socket.socket) -> None:
        with client:
            try:
                while data := client.recv(65536):
                    client.sendall(data)
            except ConnectionError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


@pytest.fixture
def proxy(echo_port: int) -> Iterator[TcpProxy]:
    with TcpProxy(echo_port) as proxy:
        yield proxy


def client_of(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=60)


def send(client: socket.socket, payload: bytes) -> None:
    client.sendall(payload)
    client.shutdown(socket.SHUT_WR)


def receive(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := client.recv(size - len(data))):
        data += more
    return data


def test_forwards_more_than_fits_into_any_buffer(proxy: TcpProxy) -> None:
    payload = bytes(range(256)) * 40_000
    with client_of(proxy) as client:
        sender = threading.Thread(target=send, args=[client, payload])
        sender.start()
        assert receive(client, len(payload)) == payload
        sender.join(5)
        assert client.recv(1) == b""


def test_cut_resets_connections_and_takes_new_ones(proxy: TcpProxy) -> None:
    with client_of(proxy) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        assert proxy.cut() == 1
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with client_of(proxy) as client:
        client.sendall(b"y")
        assert client.recv(1) == b"y"
    assert proxy.accepted == 2


def test_refuses_until_resumed(proxy: TcpProxy) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        client_of(proxy)
    proxy.resume()
    with client_of(proxy) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"


def test_deaf_holds_back_and_resume_delivers(proxy: TcpProxy) -> None:
    with client_of(proxy) as client:
        client.sendall(b"1")
        assert client.recv(1) == b"1"
        proxy.go_deaf()
        client.sendall(b"2")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(5)
        proxy.resume()
        assert client.recv(1) == b"2"


def test_resets_the_client_when_the_server_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    # The reset may come before the client knows that it is connected.
    with TcpProxy(port) as proxy, pytest.raises(ConnectionResetError), client_of(proxy) as client:
        client.recv(1)


def test_rewrites_the_address_of_a_url(proxy: TcpProxy) -> None:
    url = proxy.through("postgresql://postgres:a%40b@127.0.0.1:5432/shop?x=1")
    assert url == f"postgresql://postgres:a%40b@127.0.0.1:{proxy.port}/shop?x=1"


def test_slow_lets_so_much_through_in_a_second(proxy: TcpProxy) -> None:
    proxy.slow(100_000)
    with client_of(proxy) as client:
        began = time.monotonic()
        client.sendall(b"x" * 20_000)
        received = 0
        while received < 20_000:
            received += len(client.recv(65536))
        assert time.monotonic() - began > 0.2
