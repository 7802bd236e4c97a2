"""The socket that the API listens on: the worker binds it, before it starts a task, and hands it to the API's process.

So a port that is taken is an error of `tailrace run`, and not of some process that is tried again and again; and who
connects while that process is started anew waits instead of being refused.
"""

from __future__ import annotations

import errno
import ipaddress
import socket

from tailrace.errors import ConfigError, TailraceError

_BACKLOG = 128
_HIGHEST = 65535


def listen(address: str) -> socket.socket:
    """Return a socket that listens on `host:port` (`[::1]:8083` for IPv6).

    Raises `ConfigError` for an address that is not this machine's, `TailraceError` where the port is taken.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if int(port) > _HIGHEST:  # some resolvers take it, and make another port of it
        raise ConfigError(f"server.listen: cannot use {address}: there is no port {port}")
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"server.listen: cannot use {address}: {error}") from error
    try:
        # A worker that is started again must not wait until the kernel has forgotten the connections of the last one.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _refused(address, error) from error
    return listener


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`, which is the address of a socket."""
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


def _refused(address: str, error: OSError) -> TailraceError:
    if error.errno == errno.EADDRINUSE:
        return TailraceError(
            f"cannot listen on {address}: something else does",
            hint="another worker, or Kafka Connect, whose port it is, too: set server.listen to a free one",
        )
    return ConfigError(f"server.listen: cannot listen on {address}: {error.strerror}")
