"""The HTTP API as one application: its parts, who may use it, and how it says no.

Parts are lists of routes; the registry's is the first. With a token every request needs it, as a bearer token or as
the password of basic authentication (user names are not looked at), which is what Confluent's clients can send.
"""

from __future__ import annotations

import hmac
import threading
from base64 import b64decode
from binascii import Error as Base64Error

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tailrace.codec.registry import Registry
from tailrace.codec.registry_store import BundledRegistry
from tailrace.server.endpoint import endpoint, respond
from tailrace.server.registry_api import RegistryApi


def application(registry: Registry, token: str = "") -> ASGIApp:
    """Return the application; the registry is served where it is Tailrace's own, kept with the log."""
    lock = threading.Lock()
    routes: list[Route] = []
    if isinstance(registry, BundledRegistry):
        for methods, path, handler in RegistryApi(registry).endpoints():
            routes.append(Route(path, endpoint(handler, lock), methods=[methods]))
    app: ASGIApp = Starlette(routes=routes, exception_handlers={HTTPException: _no_such_thing})
    return _Guard(app, token) if token else app


def _no_such_thing(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"HTTP {error.status_code} {error.detail}"
    return respond(error.status_code, {"error_code": error.status_code, "message": message})


class _Guard:
    """Lets through what has the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, or hand on."""
        if scope["type"] == "http" and not hmac.compare_digest(_credential(scope), self._token):
            answer = respond(401, {"error_code": 401, "message": "Unauthorized"})
            answer.headers["WWW-Authenticate"] = 'Basic realm="tailrace", Bearer'
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _credential(scope: Scope) -> bytes:
    """Return the token in the request's Authorization header; empty where there is none."""
    kind, _, value = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
    if kind.lower() == b"bearer":
        return bytes(value.strip())
    if kind.lower() != b"basic":
        return b""
    try:
        return b64decode(value).partition(b":")[2]
    except Base64Error:
        return b""
