"""The worker's end of the API's process: starts it, and starts it again when it has died. Decides nothing else."""

from __future__ import annotations

import json
import socket
import time

import structlog

from tailrace.config.settings import ServerSettings
from tailrace.runtime.build import Plan
from tailrace.runtime.child import Child, Message
from tailrace.runtime.logs import LogSettings
from tailrace.runtime.spare import start_process
from tailrace.server.listener import is_loopback, listen
from tailrace.server.spec import ServerSpec

log = structlog.get_logger()

MODULE = "tailrace.server.launch"

_DELAY, _DELAY_MAX = 1.0, 60.0
_STEADY = 60.0
"""Seconds after which a process that has died is taken for one that ran well: the delay begins anew."""
_DRAIN = 3.0
"""Seconds for requests that are under way when the worker ends."""


class ApiProcess:
    """A `Companion` of the supervisor. Several workers of one machine each need a port of their own."""

    def __init__(self, plan: Plan, settings: ServerSettings, logging: LogSettings) -> None:
        self._plan = plan
        self._settings = settings
        self._logging = logging
        self._socket: socket.socket | None = None
        self._child: Child[Message] | None = None
        self._started_at = 0.0
        self._next_at: float | None = None
        self._delay = _DELAY

    def start(self) -> None:
        """Listen, and start the process; raises `TailraceError` where that cannot be."""
        self._socket = listen(self._settings.listen)
        host, port = self._socket.getsockname()[:2]
        if not is_loopback(host) and not self._settings.token.get_secret_value():
            log.warning("api open to others", address=f"{host}:{port}", hint="set server.token, or listen on 127.0.0.1")
        self._spawn(time.monotonic())
        log.info("api listening", address=f"{host}:{port}")

    def turn(self, now: float) -> None:
        """Take note of a process that has ended, and start it again when that is due."""
        if self._child is not None:
            code = self._child.ended()
            if code is not None:
                self._ended(self._child, code, now)
        elif self._next_at is not None and now >= self._next_at:
            self._spawn(now)

    def close(self) -> None:
        """Let requests that are under way end, then the process."""
        self._next_at = None
        if self._child is not None:
            self._child.stop()
            deadline = time.monotonic() + _DRAIN
            while self._child.ended() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            self._child.kill()
            self._child.close()
            self._child = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _spawn(self, now: float) -> None:
        assert self._socket is not None
        descriptor = self._socket.fileno()
        settings = self._plan.settings
        spec = ServerSpec(
            descriptor=descriptor,
            log=dict(settings.log),
            folder=settings.folder,
            secrets=settings.secrets,
            logging=self._logging,
            token=self._settings.token.get_secret_value(),
        )
        process = start_process(MODULE, descriptors=[descriptor])
        self._child = Child(MODULE, json.dumps(spec.model_dump(mode="json")), Message, process)
        self._started_at, self._next_at = now, None

    def _ended(self, child: Child[Message], code: int, now: float) -> None:
        failures = [message.failure for message in child.read() if message.failure is not None]
        child.close()
        self._child = None
        if now - self._started_at >= _STEADY:
            self._delay = _DELAY
        self._next_at = now + self._delay
        error = failures[0].message if failures else f"process ended with exit code {code}"
        log.warning("api restarting", error=error, hint=failures[0].hint if failures else "", delay=self._delay)
        self._delay = min(self._delay * 2, _DELAY_MAX)
