"""HTTP to a cluster: requests that wait for their answer, and lanes whose answer is fetched later.

A lane is one connection. What is sent on it is on its way while the caller goes on; the answer is read when the caller
wants it. So the cluster works on one request while the next one is made, without a thread. urllib3's connections are
used without its pool, whose only way to send is to wait for the answer.

All requests may be sent twice, since documents carry their versions: a connection that was closed while nobody used it
is opened again, once.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import BadStatusLine, HTTPException
from typing import Any, cast

import orjson
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import Url, parse_url

from tailrace.errors import ConfigError, Fatal, Retriable
from tailrace_search.access import AccessConfig

JSON = "application/json"
LINES = "application/x-ndjson"
_CONNECT_TIMEOUT = 10.0
_BUSY = {429, 502, 503, 504}
_AWAY = "the task goes on by itself when it answers again"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    retry_after: float | None = None

    @property
    def json(self) -> Any:
        """The body's JSON; an empty object where it is none, as with the answers of proxies."""
        try:
            return orjson.loads(self.body)
        except ValueError:
            return {}

    @property
    def reason(self) -> str:
        """The error's type and reason as the cluster gives them, or the beginning of the body."""
        error = self.json.get("error") if isinstance(self.json, dict) else None
        if isinstance(error, dict):
            return f"{error.get('type')}: {error.get('reason')}"
        return str(error) if error else self.body[:200].decode(errors="replace").strip()


class Lane:
    """One connection to one host; at most one request is on its way."""

    def __init__(self, url: Url, access: AccessConfig, context: ssl.SSLContext | None) -> None:
        self.host = f"{url.scheme}://{url.netloc}"
        self._path = (url.path or "").rstrip("/")
        port = url.port or (443 if url.scheme == "https" else 9200)
        host = (url.host or "").strip("[]")
        self._connection: HTTPConnection = (
            HTTPConnection(host, port) if context is None else HTTPSConnection(host, port, ssl_context=context)
        )
        self._read_timeout = access.timeout
        self._authorization = access.authorization()
        self._sent: tuple[str, str, bytes | None, str] | None = None
        self._used = False

    def send(self, method: str, path: str, body: bytes | None = None, kind: str = JSON) -> None:
        """Send a request; raises `Retriable` where the host cannot be reached."""
        assert self._sent is None, "the answer to the request before was not read"
        self._sent = (method, path, body, kind)
        try:
            self._transmit()
        except (OSError, HTTPError, HTTPException) as error:
            if not self._used:
                raise self._away(error) from error
            self._again()

    def answer(self) -> Answer:
        """Wait for the answer; raises `Retriable` where none comes."""
        assert self._sent is not None, "nothing was sent"
        try:
            answer = self._receive()
        except TimeoutError as error:
            raise self._away(error) from error
        except (OSError, HTTPError, HTTPException) as error:
            if not self._used:
                raise self._away(error) from error
            self._again()
            answer = self._received_at_last()
        self._sent, self._used = None, True
        return answer

    def close(self) -> None:
        """Close the connection; an answer that was not read is lost."""
        self._connection.close()
        self._sent, self._used = None, False

    def _again(self) -> None:
        self._connection.close()
        self._used = False
        try:
            self._transmit()
        except (OSError, HTTPError, HTTPException) as error:
            raise self._away(error) from error

    def _received_at_last(self) -> Answer:
        try:
            return self._receive()
        except (OSError, HTTPError, HTTPException) as error:
            raise self._away(error) from error

    def _transmit(self) -> None:
        method, path, body, kind = cast("tuple[str, str, bytes | None, str]", self._sent)
        headers = {"Content-Type": kind, "Accept": JSON}
        if self._authorization:
            headers["Authorization"] = self._authorization
        if self._connection.sock is None:
            self._connection.timeout = _CONNECT_TIMEOUT
            self._connection.connect()
            # Of the connection, not its socket: urllib3 sets the socket's anew, for the request and for its answer.
            self._connection.timeout = self._read_timeout
        self._connection.request(method, self._path + path, body=body, headers=headers)

    def _receive(self) -> Answer:
        response = self._connection.getresponse()
        return Answer(response.status, response.data, _seconds(response.headers))

    def _away(self, error: Exception) -> Exception:
        self.close()
        reached: BaseException | None = error
        while reached is not None:
            if isinstance(reached, ssl.SSLCertVerificationError):
                hint = "name the authority that signed the certificate with ca:, or use a host name that it is made for"
                return Fatal(f"connect to {self.host}: {reached.verify_message}", hint=hint)
            if isinstance(reached, BadStatusLine) and self.host.startswith("http:"):
                hint = f"{_AWAY}; if the cluster speaks TLS, its url begins with https:"
                return Retriable(f"reach {self.host}: {_told(error)}", hint=hint, patient=True)
            reached = reached.__cause__ or reached.__context__
        return Retriable(f"reach {self.host}: {_told(error)}", hint=_AWAY, patient=True)


class Client:
    """The cluster, through the first of its hosts that answers."""

    def __init__(self, access: AccessConfig) -> None:
        self._access = access
        self._context: ssl.SSLContext | None = None
        self._lanes: list[Lane] = []

    def lanes(self, count: int) -> list[Lane]:
        """Return `count` lanes beside the one for requests, over the hosts in turn from the one that answers."""
        urls = [parse_url(url) for url in self._access.urls]
        first = next((at for at, url in enumerate(urls) if self._lane().host.endswith(f"//{url.netloc}")), 0)
        made = [Lane(urls[first], self._access, self._secured(urls[first])) for _ in range(count)]
        self._lanes += made
        return made

    def request(self, method: str, path: str, body: object = None) -> Answer:
        """Return the answer, of any status; raises `Retriable` where no host answers, or the cluster is busy."""
        lane = self._lane()
        lane.send(method, path, None if body is None else orjson.dumps(body))
        return checked(lane.answer(), f"{method} {lane.host}{path}")

    def lines(self, path: str, body: bytes) -> Answer:
        """Post lines of JSON."""
        lane = self._lane()
        lane.send("POST", path, body, LINES)
        return checked(lane.answer(), f"POST {lane.host}{path}")

    def close(self) -> None:
        """Close all connections."""
        for lane in self._lanes:
            lane.close()
        self._lanes = []

    def _lane(self) -> Lane:
        if self._lanes:
            return self._lanes[0]
        faults: list[Retriable] = []
        for url in map(parse_url, self._access.urls):
            self._lanes.append(lane := Lane(url, self._access, self._secured(url)))
            try:
                lane.send("GET", "/")
                checked(lane.answer(), f"GET {lane.host}")
            except Retriable as fault:
                faults.append(fault)
                self.close()
                continue
            return lane
        raise faults[0] if len(faults) == 1 else _none_answers(faults)

    def _secured(self, url: Url) -> ssl.SSLContext | None:
        if url.scheme != "https":
            return None
        if self._context is None:
            try:
                self._context = ssl.create_default_context(cafile=self._access.ca)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(f"ca: {self._access.ca} cannot be read as certificates: {error}") from error
        return self._context


def checked(answer: Answer, what: str) -> Answer:
    """Return an answer that says something about the request; raises what it says about the cluster or the user."""
    if answer.status in _BUSY:
        if "cluster_block_exception" in answer.reason:
            raise refused(answer.reason, what)
        hint = "the cluster is busy; the task goes on by itself"
        raise Retriable(
            f"{what}: {answer.status} {answer.reason}", hint=hint, retry_after=answer.retry_after, patient=True
        )
    if answer.status == 401:
        raise Fatal(f"{what}: the cluster refuses the credentials", hint="look at username and password, or api_key")
    if answer.status == 403:
        raise refused(answer.reason, what)
    return answer


def refused(reason: str, what: str) -> Fatal | Retriable:
    """Say what a 403 means: a full disk blocks an index, or the user lacks a privilege."""
    if "cluster_block_exception" in reason:
        hint = "an index is read-only: free some disk space or lift its block; the task goes on by itself"
        return Retriable(f"{what}: {reason}", hint=hint, patient=True)
    return Fatal(f"{what}: {reason}", hint="give the user the privileges that docs/sinks-search.md names")


def _none_answers(faults: list[Retriable]) -> Retriable:
    told = "; ".join(fault.message for fault in faults)
    return Retriable(f"no host answers: {told}", hint=_AWAY, patient=True)


def _seconds(headers: Mapping[str, str]) -> float | None:
    value = headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None


def _told(error: Exception) -> str:
    return str(error.__cause__ or error) or type(error).__name__
