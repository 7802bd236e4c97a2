"""A MySQL whose keys lie in a file: it looks for its keyring beside its own program, so it gets a place of its own.

Source: MySQL manual, "Keyring Component Installation", "Using the component_keyring_file File-Based Keyring Component".
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from servers.mysql_programs import Flavour, Programs

_KEYRING = "component_keyring_file"


@dataclass(frozen=True, slots=True)
class KeyringPrograms:
    """The programs of `whole`, with a keyring; what belongs to it lies in `folder`."""

    whole: Programs
    folder: Path
    flavour: Flavour = "mysql"

    @property
    def server(self) -> Path:
        return self.folder / "mysqld"

    @property
    def login(self) -> tuple[str, str]:
        return self.whole.login

    def places(self) -> Mapping[str, str]:
        return {**self.whole.places(), "plugin_dir": str(self.folder / "plugin")}

    def make_data(self, data: Path) -> None:
        usr = self.whole.folder / "root/usr"
        program, library = self.folder / "sbin/mysqld", self.folder / f"plugin/{_KEYRING}.so"
        for link, target in ((program, usr / "sbin/mysqld"), (library, usr / f"lib/mysql/plugin/{_KEYRING}.so")):
            link.parent.mkdir(parents=True)
            link.symlink_to(target)
        (self.folder / "sbin/mysqld.my").write_text(json.dumps({"components": f"file://{_KEYRING}"}))
        keys = {"path": str(self.folder / "keys"), "read_only": False}
        (self.folder / f"plugin/{_KEYRING}.cnf").write_text(json.dumps(keys))
        seen_from_root = os.path.relpath(program, self.whole.folder / "root")
        self.server.write_text(f'#!/bin/sh\nexec "{self.whole.folder}/run" "{seen_from_root}" "$@"\n')
        self.server.chmod(0o755)
        self.whole.make_data(data)
