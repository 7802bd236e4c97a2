"""The API's process, started by the worker and by nobody else: `python -m tailrace.server.launch`.

    stdin    one line, the `ServerSpec` as JSON; then nothing: its end says that the worker is gone
    stdout   a failure, as tasks tell theirs
    SIGTERM  finish the requests that are under way, exit 0

It reads and writes what any process may (the registry), so it needs nothing of the worker but the socket.
"""

from __future__ import annotations

import signal
import socket
import sys

from tailrace.config.masking import Masker
from tailrace.runtime.build import build_log
from tailrace.runtime.child import Message
from tailrace.runtime.lifeline import Lifeline
from tailrace.runtime.logs import configure_logs
from tailrace.runtime.process import Mouth, read_line
from tailrace.runtime.restart import failure_of
from tailrace.runtime.spare import importing
from tailrace.server.spec import ServerSpec

_DRAIN = 2
"""Seconds that requests under way may take once the worker ends."""


def main() -> int:
    """Serve until SIGTERM; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker
    line, _ = read_line(0)
    spec = ServerSpec.model_validate_json(line)
    mouth = Mouth()
    Lifeline(0).follow(lambda: None, grace=0.0)
    configure_logs(spec.logging, spec.secrets)
    try:
        _serve(spec)
    except Exception as error:  # noqa: BLE001 - the process boundary: whatever it was, the worker is told
        mouth.say(Message(failure=failure_of(error).masked(Masker(spec.secrets))))
        return 1
    return 0


def _serve(spec: ServerSpec) -> None:
    with importing():
        import uvicorn

        from tailrace.server.application import application

    app = application(build_log(spec.log, spec.folder, spec.secrets).registry(), spec.token)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=_DRAIN,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=spec.descriptor)])


if __name__ == "__main__":
    sys.exit(main())
