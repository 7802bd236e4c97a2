"""From a function that answers a question to an endpoint: body and parameters in, JSON out, refusals as Confluent's."""

from __future__ import annotations

import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from tailrace.codec.registry import IncompatibleSchema, UnknownSchema
from tailrace.errors import TailraceError

log = structlog.get_logger()

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"

MAX_BODY = 16 * 1024 * 1024

_ACCEPTED = ("application/vnd.schemaregistry.v1+json", "application/vnd.schemaregistry+json", "application/json",
             "application/octet-stream")  # fmt: skip
"""A web page cannot have a browser send any of these to another site without asking first."""


class Refusal(Exception):
    """What was asked cannot be had; `code` is of the API, and begins with the HTTP status."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Question:
    """A request, taken apart; `body` is empty where there was none."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, object]

    def flag(self, name: str) -> bool:
        """Return whether a query parameter says true."""
        return self.query.get(name, "").lower() == "true"


Handler: TypeAlias = Callable[[Question], object]
"""Returns what becomes the JSON of the answer; raises `Refusal`, or errors of Tailrace's."""


def endpoint(handler: Handler, lock: threading.Lock) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint: `handler` runs in a thread, for it waits for the disk, one at a time."""

    def answer(question: Question) -> Response:
        with lock:
            return respond(200, handler(question))

    async def ask(request: Request) -> Response:
        try:
            question = Question(request.path_params, request.query_params, await _body(request))
            return await run_in_threadpool(answer, question)
        except Exception as error:  # noqa: BLE001 - the process boundary: whatever it was, the client is told
            refusal = _refusal(error)
            return respond(refusal.status, {"error_code": refusal.code, "message": refusal.message})

    return ask


def respond(status: int, content: object) -> Response:
    """Return an answer in JSON."""
    return Response(json.dumps(content, separators=(",", ":")), status, media_type=CONTENT_TYPE)


def _refusal(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, IncompatibleSchema):
        # Confluent's code is the bare status here; 40901 was it long ago.
        text = f'Schema being registered is incompatible with an earlier schema for subject "{error.subject}"'
        return Refusal(409, 409, f"{text}, details: [{'; '.join(error.problems)}]")
    if isinstance(error, UnknownSchema):
        return Refusal(404, 40403, str(error))
    if isinstance(error, TailraceError):
        log.warning("api request failed", error=error.message, hint=error.hint)
        return Refusal(500, 50001, f"Error in the backend data store: {error}")
    log.error("api request failed", exc_info=error)
    return Refusal(500, 500, "Internal Server Error")


async def _body(request: Request) -> Mapping[str, object]:
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > MAX_BODY:
            raise Refusal(413, 413, f"body is larger than {MAX_BODY} bytes")
    if not content:
        return {}
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind not in _ACCEPTED:
        raise Refusal(415, 415, f"HTTP 415 Unsupported Media Type: {kind}")
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(400, 400, "body must be a JSON object")
    return body
