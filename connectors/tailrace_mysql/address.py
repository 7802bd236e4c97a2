"""The connection URL of a MySQL source, taken apart; it is never quoted, since it holds the password.

    mysql://user:password@host:3306,other:3307/database?ssl-mode=REQUIRED&ssl-ca=/etc/ssl/ca.pem
    mysql://user:password@/database?unix_socket=/run/mysqld/mysqld.sock

The database is where the session begins, and may be left out. The parameters have the names that MySQL's own clients
give them, with dash or underscore.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args
from urllib.parse import parse_qsl, unquote, urlencode

from tailrace.errors import ConfigError

TlsMode: TypeAlias = Literal["DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"]

EXAMPLE = "mysql://user:password@host:3306/database; %40 stands for @, %2F for /, %3A for : in user and password"

DEFAULT_PORT = 3306

_URL = re.compile(
    r"(?:mysql|mariadb)://(?:(?P<login>[^@/?]*)@)?(?P<hosts>[^@/?]*)(?:/(?P<database>[^/?]*))?(?:\?(?P<query>.*))?"
)
_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<name>[^:\[\],]+))(?::(?P<port>[0-9]{1,5}))?")
_PARAMETERS = ("unix-socket", "ssl-mode", "ssl-ca", "ssl-capath", "ssl-cert", "ssl-key")


@dataclass(frozen=True, slots=True)
class Host:
    """One server: by TCP, or by `socket`, a Unix socket's path."""

    name: str = "localhost"
    port: int = DEFAULT_PORT
    socket: str = ""

    def __str__(self) -> str:
        return self.socket or (f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}")


@dataclass(frozen=True, slots=True)
class Tls:
    """How far the connection is encrypted and the server's certificate believed; the rest are paths, "" for none."""

    mode: TlsMode = "PREFERRED"
    ca: str = ""
    capath: str = ""
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect to, in the order in which to try, and as whom."""

    hosts: tuple[Host, ...]
    user: str = ""
    password: str = field(default="", repr=False)
    database: str = ""
    tls: Tls = Tls()


def parse_url(url: str) -> Address:
    """Take a URL apart; raises `ConfigError` that says what is wrong without quoting it."""
    found = _URL.fullmatch(url)
    if found is None:
        raise ConfigError("the url is not a connection string", hint=EXAMPLE)
    user, _, password = (found["login"] or "").partition(":")
    parameters = _parameters(found["query"] or "")
    if "unix-socket" in parameters:
        hosts: tuple[Host, ...] = (Host(socket=parameters["unix-socket"]),)
    else:
        hosts = tuple(_host(text) for text in found["hosts"].split(","))
    return Address(hosts, unquote(user), unquote(password), unquote(found["database"] or ""), _tls(parameters))


def with_parameter(url: str, name: str, value: str) -> str:
    """Return `url` with one more parameter."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode({name: value})}"


def _host(text: str) -> Host:
    if not text:
        return Host()
    found = _HOST.fullmatch(text)
    if found is None or not 0 < int(found["port"] or DEFAULT_PORT) < 65536:
        raise ConfigError(f'the url names a host that is none: "{text}"', hint="host, host:port, [::1]:port")
    return Host(found["six"] or unquote(found["name"]), int(found["port"] or DEFAULT_PORT))


def _parameters(query: str) -> Mapping[str, str]:
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        known = name.lower().replace("_", "-")
        if known not in _PARAMETERS:
            raise ConfigError(f'the url has an unknown parameter "{name}"', hint=f"known are {', '.join(_PARAMETERS)}")
        parameters[known] = value
    return parameters


def _tls(parameters: Mapping[str, str]) -> Tls:
    ca, capath = parameters.get("ssl-ca", ""), parameters.get("ssl-capath", "")
    # Who names an authority wants it asked: as MySQL's own clients take it.
    mode = parameters.get("ssl-mode", "VERIFY_CA" if ca or capath else "PREFERRED").upper()
    for known in get_args(TlsMode):
        if mode == known:
            return Tls(known, ca, capath, parameters.get("ssl-cert", ""), parameters.get("ssl-key", ""))
    raise ConfigError(f'the url has an unknown ssl-mode "{mode}"', hint=f"known are {', '.join(get_args(TlsMode))}")
