"""Requests to a Confluent schema registry: JSON over HTTP, to the first of its addresses that answers.

    connection refused, broken, timed out       the next address; after the last one `Retriable`, patient
    429, 502, 503, 504                          likewise
    other 5xx                                   the next address; after the last one `Retriable`, not patient
    certificate not trusted, or ours refused    `Fatal`
    401, 403                                    `Fatal`: credentials, or rights
    other answers                               handed on with the registry's own error code
    what is no JSON                             `Fatal`: something else lives at that address

What this does not do: wait and try again; that is the worker's business (`runtime/restart.py`).
Source: Confluent Schema Registry's REST API, "Errors".
"""

from __future__ import annotations

import json
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from tailrace.codec.registry_settings import SchemaRegistryConfig
from tailrace.errors import ConfigError, Fatal, Retriable

if TYPE_CHECKING:
    from urllib3 import PoolManager

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"

_AWAY = {429, 502, 503, 504}
_NO_SUCH_PATH = 404
"""The code of a path that there is not; what a registry says of a subject or schema has five digits."""
_NO_CERTIFICATE = "where it wants a client certificate, set schema_registry.certificate to one that it accepts"
_CREDENTIALS = "set username and password, or token, of the schema registry"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the registry said; `code` and `message` are those of an error, 0 and empty otherwise."""

    status: int
    body: object
    code: int = 0
    message: str = ""

    @property
    def is_missing(self) -> bool:
        """Whether the registry says that there is no such subject, version or schema."""
        return self.status == 404

    def field(self, name: str) -> object:
        """Return a member of the body; None where it is not there, or the body is no object."""
        return self.body.get(name) if isinstance(self.body, Mapping) else None


class RegistryHttp:
    """Connections to one registry, of one thread. Making one does no I/O."""

    def __init__(self, config: SchemaRegistryConfig) -> None:
        self._config = config
        self._urls = list(config.urls)
        self._pool: PoolManager | None = None
        self._headers = {"Accept": CONTENT_TYPE, "Content-Type": CONTENT_TYPE, **_authorization(config)}

    @property
    def place(self) -> str:
        """The address that is asked first."""
        return self._urls[0]

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Answer:
        """Return the answer of the first address that gives one; raises as the table above says."""
        trouble: list[Retriable] = []
        for url in list(self._urls):
            try:
                answer = self._ask_one(url, method, path, body)
            except Retriable as error:
                trouble.append(error)
                continue
            self._urls.remove(url)
            self._urls.insert(0, url)  # who has answered is asked first from now on
            return answer
        raise Retriable(
            "; ".join(dict.fromkeys(error.message for error in trouble)),
            hint=trouble[0].hint,
            patient=any(error.patient for error in trouble),
        )

    def _ask_one(self, url: str, method: str, path: str, body: Mapping[str, object] | None) -> Answer:
        from urllib3.exceptions import HTTPError

        payload = None if body is None else json.dumps(body).encode()
        try:
            response = self._opened().request(method, url + path, body=payload, headers=self._headers, redirect=False)
            status, content = response.status, response.data
        except (HTTPError, OSError) as error:
            raise _broken(url, error) from error
        if status >= 500 or status in _AWAY:
            raise Retriable(
                f"schema registry {url} answers {status}: {_said(content)}",
                hint="it is asked again until it answers",
                patient=status in _AWAY,
            )
        return _answer(url, status, content)

    def _opened(self) -> PoolManager:
        if self._pool is None:
            import urllib3

            context = _tls(self._config) if any(url.startswith("https") for url in self._urls) else None
            timeout = urllib3.Timeout(total=self._config.timeout)
            self._pool = urllib3.PoolManager(timeout=timeout, retries=False, ssl_context=context)
        return self._pool


def _answer(url: str, status: int, content: bytes) -> Answer:
    if status == 401:
        raise Fatal(f"schema registry {url} refuses the credentials: {_said(content)}", hint=_CREDENTIALS)
    if status == 403:
        raise Fatal(
            f"schema registry {url} does not allow this: {_said(content)}",
            hint="grant the user to read and write the subjects, or register schemas otherwise and set "
            "auto_register: false",
        )
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    code = body.get("error_code") if isinstance(body, dict) else None
    if body is None or (status >= 300 and code is None) or code == _NO_SUCH_PATH:
        raise Fatal(
            f"no schema registry at {url}: it answers {status}, and not as one",
            hint="the url may lack a path: that of Apicurio ends in /apis/ccompat/v7",
        )
    if status < 300:
        return Answer(status, body)
    return Answer(status, body, cast("int", code), str(body.get("message", "")))


def _said(content: bytes) -> str:
    """Return the message in an error's body, or the start of a body that has none."""
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    said = body.get("message") if isinstance(body, dict) else None
    return str(said)[:300] if said else content[:100].decode("utf-8", "replace").strip() or "no reason given"


def _broken(url: str, error: Exception) -> Retriable | Fatal:
    reached: BaseException | None = error
    while reached is not None:
        if isinstance(reached, ssl.SSLCertVerificationError):
            return Fatal(
                f"schema registry {url} has a certificate that is not trusted: {reached.verify_message}",
                hint="set schema_registry.ca to the certificates that it comes from",
            )
        if isinstance(reached, ssl.SSLError) and "ALERT" in (reached.reason or ""):
            return Fatal(f"schema registry {url} refuses the connection: {reached.reason}", hint=_NO_CERTIFICATE)
        cause = reached.args[-1] if reached.args and isinstance(reached.args[-1], BaseException) else None
        reached = cause or reached.__cause__ or reached.__context__
    return Retriable(
        f"cannot reach schema registry {url}: {_reason(error)}",
        hint=f"it is tried again until it answers; {_NO_CERTIFICATE}" if url.startswith("https") else "",
        patient=True,
    )


def _reason(error: Exception) -> str:
    """Return the last part of what urllib3 says: before it stands the connection's repr."""
    return str(error).rpartition(": ")[2].strip("()'\"") or type(error).__name__


def _authorization(config: SchemaRegistryConfig) -> dict[str, str]:
    if token := config.token.get_secret_value():
        return {"Authorization": f"Bearer {token}"}
    if config.username:
        pair = f"{config.username}:{config.password.get_secret_value()}".encode()
        return {"Authorization": f"Basic {b64encode(pair).decode('ascii')}"}
    return {}


def _tls(config: SchemaRegistryConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.ca)
        if config.certificate is not None:
            context.load_cert_chain(config.certificate, config.key, config.key_password.get_secret_value() or None)
    except OSError as error:  # ssl.SSLError is one
        files = ", ".join(str(file) for file in (config.ca, config.certificate, config.key) if file is not None)
        raise ConfigError(f"schema_registry: cannot use {files}: {error}") from error
    return context
