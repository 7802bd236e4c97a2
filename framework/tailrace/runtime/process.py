"""The process of one task, started by the supervisor and by nobody else; `launch.py` is how it begins.

    stdin    one line, the `TaskSpec` as JSON; then leases, where it has one (`lifeline.py`); its end says that the
             worker is gone
    stdout   `TaskMessage`s as JSON lines: reports, and at the end either `ended` or a `failure`
    stderr   logs
    SIGTERM  finish the batch, commit, acknowledge, close, exit 0

Restarts are not decided here: a process that fails says why, and exits.
"""

from __future__ import annotations

import gc
import os
import signal
from dataclasses import replace
from types import FrameType

import structlog

from tailrace.config.masking import Masker
from tailrace.runtime.build import Task, TaskSpec, build_task
from tailrace.runtime.child import Message
from tailrace.runtime.lifeline import FAILED, Lifeline
from tailrace.runtime.logs import configure_logs
from tailrace.runtime.meter import Meter
from tailrace.runtime.restart import Failure, failure_of
from tailrace.runtime.slices import Slices
from tailrace.runtime.spare import importing
from tailrace.runtime.state import TaskMessage
from tailrace.runtime.task import run_task
from tailrace.source import Reporting

DESPERATE = 2
"""Lives in a row that ended for a step that took too long, after which a sink gets less than a whole batch."""


class StopRequest:
    """Set by SIGTERM, or by the death of the worker, in which case the process does not outlive the drain for long."""

    def __init__(self) -> None:
        self._asked = False

    def __call__(self) -> bool:
        """Whether the task is to stop."""
        return self._asked

    def ask(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """Ask for the drain."""
        self._asked = True


class Mouth:
    """Writes messages to the worker; whatever else wants to print goes to stderr from now on."""

    def __init__(self) -> None:
        self._descriptor = os.dup(1)
        os.dup2(2, 1)

    def say(self, message: Message) -> None:
        """Send one line; a worker that is gone is no reason to fail, the lifeline takes care of it."""
        data = message.model_dump_json().encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except BrokenPipeError:
            return


def main() -> int:
    """Run the task that stdin describes; return the exit code."""
    stop = StopRequest()
    signal.signal(signal.SIGTERM, stop.ask)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which asks for the drain in its order
    line, rest = read_line(0)
    if not line:
        return 0  # started ahead, and nobody needed it
    spec = TaskSpec.model_validate_json(line)
    mouth = Mouth()
    Lifeline(0, spec.lease, rest).follow(stop.ask, spec.stop_timeout)
    configure_logs(spec.logging, spec.secrets)
    structlog.contextvars.bind_contextvars(task=spec.name)
    failure = _run(spec, stop, mouth)
    if failure is not None:
        mouth.say(TaskMessage(failure=failure.masked(Masker(spec.secrets))))
        return FAILED
    mouth.say(TaskMessage(ended="stopped" if stop() else "finished"))
    return 0


def _run(spec: TaskSpec, stop: StopRequest, mouth: Mouth) -> Failure | None:
    """Run the task; return why it failed."""
    meter: Meter | None = None
    try:
        with importing():
            task = build_task(spec)
        if spec.kind == "sink" and spec.caution >= DESPERATE and isinstance(task.source, Reporting):
            task = replace(task, source=Slices(task.source))
        collect_rarely()
        meter = Meter(task, mouth.say)
        _turn(spec, task, stop, meter)
    except Exception as error:  # noqa: BLE001 - the process boundary: whatever it was, the supervisor is told
        slow = meter is not None and meter.quiet() >= task.pace.slow
        return failure_of(error).model_copy(update={"slow": slow})
    return None


def _turn(spec: TaskSpec, task: Task, stop: StopRequest, meter: Meter) -> None:
    if task.lively is not None:
        task.lively.tell_with(meter.alive)
    meter.opening()
    run_task(
        spec.name,
        task.source,
        task.stage,
        task.sink,
        pace=task.pace,
        stopping=stop,
        until_current=spec.until_current,
        watch=meter,
        silence=meter.silence,
    )
    meter.last()


def collect_rarely() -> None:
    """Have Python look for garbage in cycles now and then only.

    Records by the ten thousand make no cycles; looking through those that a sink holds until its commit took up to half
    of its CPU. What was imported stays, and is not looked through at all.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def read_line(descriptor: int) -> tuple[bytes, bytes]:
    """Read up to the end of a line, unbuffered; return it, and what came with it: that belongs to the lifeline."""
    data = b""
    while b"\n" not in data:
        part = os.read(descriptor, 65536)
        if not part:
            break
        data += part
    line, end, rest = data.partition(b"\n")
    return line + end, rest
