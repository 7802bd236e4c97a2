"""What a user of an archive sees: each common mishap with its message and exit code, and that nothing is lost by it."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import fsspec
import pyarrow.parquet as pq
import pytest
import yaml

from crash.worker import TAILRACE, Worker
from lake.reading import offsets
from lake.records import NOON
from log_read import fill
from servers import s3
from servers.proxy import TcpProxy
from tailrace.event import Record
from tailrace.log.store.backend import BundledLog

ROWS = 2000


class Shop:
    """A log that has been filled, and a worker that archives it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.worker = Worker(folder, "", ())
        self.log = BundledLog.at(self.worker.log_path)

    def fill(self, rows: int = ROWS) -> None:
        fill(self.log, rows)

    def write_config(self, path: str, **settings: object) -> None:
        sink = {"type": "archive", "topics": ["shop.*"], "path": path, "commit_interval": 0.2, **settings}
        told = {
            "log": {"type": "bundled", "path": "./data"}, "sinks": {"lake": sink},
            "worker": {"restart_delay": 0.1, "restart_delay_max": 0.3, "restart_limit": 1},
        }  # fmt: skip
        self.worker.config.write_text(yaml.safe_dump(told))

    def run_to_the_end(self) -> None:
        self.worker.start("--until-current")
        assert self.worker.wait(timeout=120) == 0, self.worker.last_words()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not condition():
            assert self.worker.running, self.worker.last_words()
            assert time.monotonic() < deadline, self.worker.last_words()
            time.sleep(0.1)

    def check(self) -> subprocess.CompletedProcess[str]:
        command = [str(TAILRACE), "check", str(self.worker.config)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    shop.worker.kill(with_tasks=True)


@pytest.fixture(scope="module")
def server() -> Iterator[s3.S3]:
    with s3.running() as running:
        yield running


def allow(server: s3.S3, calls: int) -> None:
    """Let so many calls pass whoever makes them; after that, credentials are looked at."""
    request = urllib.request.Request(
        f"{server.url}/moto-api/reset-auth", f"{calls}".encode(), {"Content-Type": "text/plain"}, method="POST"
    )
    urllib.request.urlopen(request, timeout=30).close()


@pytest.fixture
def bucket(server: s3.S3) -> str:
    allow(server, 10**9)
    name = f"lake-{uuid4().hex[:8]}"
    server.make_bucket(name)
    return name


def archived(options: Mapping[str, object], bucket: str) -> list[int]:
    files = fsspec.filesystem("s3", use_listings_cache=False, **options)
    found = [path for path in files.find(bucket) if "/_tailrace/" not in path]
    return sorted(offset for path in found for offset in pq.read_table(files.open(path))["__offset"].to_pylist())


@pytest.mark.slow
def test_a_folder_that_may_not_be_written_ends_the_worker_with_the_mend(shop: Shop) -> None:
    shop.fill()
    lake = shop.folder / "lake"
    lake.symlink_to("/sys")  # nobody may make a file there, root included
    shop.write_config("./lake")
    shop.worker.start()
    assert shop.worker.wait(timeout=120) == 3
    words = shop.worker.last_words()
    assert "write to" in words
    assert "give the worker's user write access to the folder" in words
    check = shop.check()
    assert check.returncode == 1
    assert "give the worker's user write access to the folder" in check.stdout
    lake.unlink()
    shop.run_to_the_end()
    assert offsets(lake) == list(range(ROWS))


@pytest.mark.slow
def test_credentials_that_are_refused_end_the_worker_with_the_mend(shop: Shop, server: s3.S3, bucket: str) -> None:
    shop.fill()
    shop.write_config(f"s3://{bucket}/shop", options=server.options(), spool=str(shop.folder / "spool"))
    allow(server, 0)
    shop.worker.start()
    assert shop.worker.wait(timeout=120) == 3
    words = shop.worker.last_words()
    assert "check the credentials in `options`" in words
    assert "secret" not in words
    assert "check the credentials in `options`" in shop.check().stdout
    allow(server, 10**9)
    shop.run_to_the_end()
    assert archived(server.options(), bucket) == list(range(ROWS))


@pytest.mark.slow
def test_a_policy_that_forbids_writing_ends_the_worker_with_the_mend(shop: Shop, server: s3.S3, bucket: str) -> None:
    shop.fill()
    poor = server.options(**server.user_who_may("s3:ListBucket", "s3:GetObject"))
    shop.write_config(f"s3://{bucket}/shop", options=poor, spool=str(shop.folder / "spool"))
    allow(server, 0)
    shop.worker.start()
    assert shop.worker.wait(timeout=120) == 3
    words = shop.worker.last_words()
    assert "PermissionError" in words
    assert "that they may read, write, list and delete there" in words
    assert "that they may read, write, list and delete there" in shop.check().stdout
    allow(server, 10**9)
    shop.run_to_the_end()
    assert archived(server.options(), bucket) == list(range(ROWS))


@pytest.mark.slow
def test_a_store_that_is_away_is_waited_for(shop: Shop, server: s3.S3, bucket: str) -> None:
    shop.fill()
    with TcpProxy(server.port) as proxy:
        options = server.options(endpoint_url=proxy.through(server.url))
        shop.write_config(f"s3://{bucket}/shop", options=options, spool=str(shop.folder / "spool"))
        proxy.refuse()
        shop.worker.start()
        # More often than `restart_limit`, which is for faults that nobody mends by waiting.
        shop.wait_for(lambda: shop.worker.output.read_text().count("the store is away or slow") > 2)
        proxy.resume()
        shop.wait_for(lambda: len(archived(server.options(), bucket)) >= ROWS)
        assert shop.worker.stop() == 0
    assert archived(server.options(), bucket) == list(range(ROWS))


@pytest.mark.slow
def test_a_full_disk_is_waited_for(shop: Shop, resize_disk: Callable[..., None]) -> None:
    resize_disk(1, "lake")
    rows = 20_000
    shop.fill(rows)
    shop.write_config("./lake", compression="none")
    shop.worker.start()
    shop.wait_for(lambda: shop.worker.output.read_text().count("free space on that disk") > 3)
    assert "No space left on device" in shop.worker.last_words()
    resize_disk(200, "lake")
    shop.wait_for(lambda: len(offsets(shop.folder / "lake")) >= rows)
    assert shop.worker.stop() == 0
    assert offsets(shop.folder / "lake") == list(range(rows))


@pytest.mark.slow
def test_what_is_no_row_becomes_one_dead_letter(shop: Shop) -> None:
    shop.fill(10)
    with_json(shop.log)
    shop.write_config("./lake")
    shop.worker.start()
    assert shop.worker.wait(timeout=120) == 3
    assert "shop.public.orders" in shop.worker.last_words()
    assert "the value is no Avro" in shop.worker.last_words()
    assert "the archive needs connectors with `format: avro`" in shop.worker.last_words()
    shop.write_config("./lake", errors="dead_letter")
    for _ in range(2):
        shop.run_to_the_end()
    assert offsets(shop.folder / "lake") == list(range(10))
    (letter,) = shop.log.records("lake.dead-letter", 0, 0)
    headers = dict(letter.headers)
    assert letter.value == json.dumps({"no": "avro"}).encode()
    assert headers["__connect.errors.offset"] == b"10"


def with_json(log: BundledLog) -> None:
    """Write a record whose value is JSON behind the others."""
    writer = log.writer()
    writer.open("stranger")
    writer.write([Record("shop.public.orders", b"key", json.dumps({"no": "avro"}).encode(), NOON)])
    writer.commit({"at": 1})
    writer.close()
