"""A registry of ours, served as a worker serves it, and one of somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from registry.served import Served, serve


@pytest.fixture
def start_api(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """A function `(token="")` that serves the log in the test's folder."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(serve(tmp_path, **settings))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served registry that the tests of a module share: each uses subjects of its own."""
    with serve(tmp_path_factory.mktemp("served")) as served:
        yield served
