from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from unit.runtime.strangers import install_strangers


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's plug-ins are installed, for this process and for those that it starts."""
    site = tmp_path / "site"
    install_strangers(site)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.delitem(sys.modules, "stranger_plugins", raising=False)
