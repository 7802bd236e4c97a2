"""Archives on HDFS and object stores, by the drivers of fsspec: `s3://`, `gs://`, `abfs://`, `webhdfs://`.

Files are written on a local disk and uploaded when they are finished: an upload is one PUT, or one multipart upload,
which a store shows when it is complete. Where there is a rename, it publishes; on object stores a copy within the store
does, which appears at once and whole, too. A commit is created by a conditional PUT (`If-None-Match: *` and its
like) or, where there is a rename, by renaming to a name that nobody has: so of two writers one is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BufferedWriter
from pathlib import Path
from typing import Any
from uuid import uuid4

from tailrace.errors import ConfigError, Fatal, Retriable
from tailrace_archive.fault import local_faults, store_faults
from tailrace_archive.spool import lock, spool_of

_DRIVERS = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs",
    "webhdfs": "requests",
}  # fmt: skip
_READ_TIMEOUT = 60
"""Seconds. s3fs counts them from the begin of an upload to its answer, and gives up after 15: a slow line's 600 kB."""
_JAVA = ("libjvm", "libhdfs")
"""What the driver of hdfs:// loads."""
_RENAMING = frozenset({"hdfs", "webhdfs", "webHDFS", "arrow_hdfs", "viewfs"})


class RemoteStore:
    """A `Store` behind a url. `options` are its driver's."""

    def __init__(self, url: str, options: Mapping[str, object], own: str, spool: Path | None) -> None:
        self._url, self._options = url.rstrip("/"), dict(options)
        self._spool = spool_of(spool, f"{self._url} {own}")
        self._connected: tuple[Any, str] | None = None
        self._lock: BufferedWriter | None = None

    def open(self, task: str) -> Path:
        """Connect, and take the local folder; other machines are kept out when they commit."""
        self._lock = lock(self._spool, f"the archive {self._url}", task)
        self._connect()
        return self._spool / "writing"

    def _connect(self) -> tuple[Any, str]:
        if self._connected is None:
            with store_faults("connect to", self._url):
                self._connected = self._driver()
        return self._connected

    def _driver(self) -> tuple[Any, str]:
        try:
            import fsspec

            found: tuple[Any, str] = fsspec.core.url_to_fs(self._url, **self._settings())
        except (ImportError, ValueError) as error:
            driver = _DRIVERS.get(self._url.partition(":")[0], "fsspec")
            raise ConfigError(f"open the archive {self._url}: {error}", hint=f"pip install {driver}") from error
        except OSError as error:
            if not any(library in str(error) for library in _JAVA):
                raise
            hint = "set path: webhdfs://<host of the name node>:9870/…, which needs no Java on this machine"
            raise ConfigError(f"open the archive {self._url}: {error}", hint=hint) from error
        return found

    def _settings(self) -> dict[str, Any]:
        """Return the driver's settings: ours, where there are none of the user."""
        settings: dict[str, Any] = {"use_listings_cache": False, **self._options}
        if _DRIVERS.get(self._url.partition(":")[0]) == "s3fs":
            settings["config_kwargs"] = {"read_timeout": _READ_TIMEOUT, **settings.get("config_kwargs", {})}
        return settings

    @property
    def _renames(self) -> bool:
        return self._url.partition(":")[0] in _RENAMING

    def stage(self, file: Path, path: str) -> None:
        """Upload."""
        files, root = self._connect()
        with store_faults("write to", f"{self._url}/{path}"):
            self._make_folder(f"{root}/{path}")
            files.put_file(str(file), f"{root}/{path}")
        with local_faults(file):
            file.unlink()

    def move(self, path: str, to: str) -> bool:
        """Rename, or copy within the store."""
        files, root = self._connect()
        here, there = f"{root}/{path}", f"{root}/{to}"
        with store_faults("publish", f"{self._url}/{to}"):
            if not files.exists(here):
                if not files.exists(there):
                    raise Fatal(f"publish {self._url}/{to}: the file is gone")
                return False
            self._make_folder(there)
            if self._renames:
                files.mv(here, there)
                if files.exists(here):
                    raise Retriable(f"publish {self._url}/{to}: the rename was refused")
            else:
                files.cp_file(here, there)
                files.rm_file(here)
        return True

    def _make_folder(self, path: str) -> None:
        """Object stores have no folders to make."""
        if self._renames:
            self._connect()[0].makedirs(path.rpartition("/")[0], exist_ok=True)

    def create(self, path: str, data: bytes) -> None:
        """Create by a conditional PUT, or by a rename to a name that nobody has."""
        files, root = self._connect()
        with store_faults("create", f"{self._url}/{path}"):
            if not self._renames:
                files.pipe_file(f"{root}/{path}", data, mode="create")
                return
            beside = f"{root}/{path}.{uuid4().hex}"
            self._make_folder(beside)
            files.pipe_file(beside, data)
            try:
                files.mv(beside, f"{root}/{path}")
            except OSError as error:
                if not files.exists(beside):
                    raise
                raise FileExistsError(path) from error
            finally:
                refused = files.exists(beside)
                if refused:
                    files.rm_file(beside)
            if refused:
                raise FileExistsError(path)

    def read(self, path: str) -> bytes:
        """Download."""
        files, root = self._connect()
        with store_faults("read", f"{self._url}/{path}"):
            data: bytes = files.cat_file(f"{root}/{path}")
        return data

    def names(self, folder: str) -> Sequence[str]:
        """List."""
        files, root = self._connect()
        with store_faults("list", f"{self._url}/{folder}"):
            try:
                found = files.ls(f"{root}/{folder}", detail=False)
            except FileNotFoundError:
                return []
        names = [str(path).rstrip("/").rpartition("/")[2] for path in found]
        return sorted(name for name in names if name and name != folder.rpartition("/")[2])

    def remove(self, path: str) -> None:
        """Delete."""
        files, root = self._connect()
        with store_faults("remove", f"{self._url}/{path}"):
            if files.exists(f"{root}/{path}"):
                files.rm_file(f"{root}/{path}")

    def close(self) -> None:
        """Give the local folder back."""
        self._connected = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None
