"""What all tests share: the real servers, and a loud line about those that are missing."""

from __future__ import annotations

import signal

import pytest

from servers.postgres import header, postgres, postgres_server, shared_servers, start_postgres

__all__ = ["postgres", "postgres_server", "shared_servers", "start_postgres"]

SERVER_FIXTURES = {"postgres", "postgres_server", "start_postgres", "shared_servers"}


def pytest_configure() -> None:
    # A shell starts what it puts into the background with Ctrl-C ignored, and programs hand that on to those that they
    # start; tests that press Ctrl-C would wait for ever.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> list[str]:
    return header()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SERVER_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("postgres")
