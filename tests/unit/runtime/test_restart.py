"""What is retried, and what is not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tailrace.config.masking import Masker
from tailrace.errors import BadRecord, ConfigError, EndOfSource, Fatal, Retriable, TailraceError
from tailrace.runtime.restart import Failure, Restart, RestartPolicy, Stop, decide, failure_of, failure_of_exit

POLICY = RestartPolicy(delay=1.0, delay_max=60.0, limit=5)


def middle() -> float:
    return 0.5


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Fatal("x"), "fatal"),
        (BadRecord("x"), "bad_record"),
        (ConfigError("x"), "config"),
        (TailraceError("x"), "fatal"),
        (ValueError("x"), "bug"),
        (OSError(5, "x"), "bug"),
        (EndOfSource(), "bug"),
        (MemoryError(), "bug"),
    ],
)
def test_the_default_is_no(error: Exception, kind: str) -> None:
    failure = failure_of(error)
    assert failure.kind == kind
    assert isinstance(decide(failure, 0, POLICY), Stop)


def test_delays_double_up_to_the_longest() -> None:
    failure = failure_of(Retriable("x"))
    delays = [
        decide(failure, attempt, RestartPolicy(delay=1, delay_max=20, limit=99), jitter=middle) for attempt in range(8)
    ]
    assert [delay.delay for delay in delays if isinstance(delay, Restart)] == [1, 2, 4, 8, 16, 20, 20, 20]
    huge = decide(failure, 5000, RestartPolicy(limit=10_000), jitter=middle)
    assert isinstance(huge, Restart)


def test_jitter_spreads_by_a_quarter() -> None:
    failure = failure_of(Retriable("x"))
    least, most = decide(failure, 0, POLICY, jitter=lambda: 0.0), decide(failure, 0, POLICY, jitter=lambda: 1.0)
    assert isinstance(least, Restart)
    assert isinstance(most, Restart)
    assert (least.delay, most.delay) == (0.75, 1.25)


def test_the_plug_in_may_ask_for_a_longer_wait() -> None:
    verdict = decide(failure_of(Retriable("x", retry_after=30)), 0, POLICY, jitter=middle)
    assert verdict == Restart(delay=30)


def test_restarts_without_progress_end() -> None:
    failure = failure_of(Retriable("x"))
    assert isinstance(decide(failure, 4, POLICY), Restart)
    verdict = decide(failure, 5, POLICY)
    assert verdict == Stop(reason="no progress after 5 restarts")


def test_patience_has_no_limit() -> None:
    assert isinstance(decide(failure_of(Retriable("x", patient=True)), 10_000, POLICY), Restart)


def test_a_killed_process_is_started_again_and_one_that_says_nothing_is_a_bug() -> None:
    killed = failure_of_exit(-9)
    assert (killed.kind, killed.message) == ("killed", "process was killed by SIGKILL")
    assert isinstance(decide(killed, 0, POLICY), Restart)
    assert isinstance(decide(failure_of_exit(1), 0, POLICY), Stop)
    assert failure_of_exit(-200).message == "process was killed by 200"


def test_the_text_of_foreign_errors_is_kept_only_where_it_cannot_quote_a_row() -> None:
    def fail() -> None:
        try:
            int("4111 1111 1111 1111")
        except ValueError as error:
            raise KeyError("alice@example.org") from error

    with pytest.raises(KeyError) as caught:
        fail()
    failure = failure_of(caught.value)
    assert failure.message == "unexpected KeyError"
    assert "test_restart.py" in failure.trace
    assert "caused by" in failure.trace
    assert "ValueError" in failure.trace
    assert "4111 1111" not in failure.trace.replace('int("4111 1111 1111 1111")', "")  # the source line is code
    assert "No such file" in failure_of(FileNotFoundError(2, "No such file", "x")).message


def test_secrets_are_masked() -> None:
    failure = Failure(kind="fatal", message="a hunter22 b", hint="postgresql://u:pw@h", trace="hunter22")
    masked = failure.masked(Masker(["hunter22"]))
    assert (masked.message, masked.hint, masked.trace) == ("a *** b", "postgresql://u:***@h", "***")


def test_nothing_here_needs_a_database() -> None:
    code = "import sys, tailrace.runtime.restart; sys.exit('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
