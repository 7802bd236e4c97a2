"""The API's process on a log in a folder, without tasks; and requests to it as any client makes them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3

from tailrace.codec.registry_store import BundledRegistry
from tailrace.config.settings import ServerSettings, load_settings
from tailrace.demo.postgres import free_port
from tailrace.runtime.build import Plan
from tailrace.runtime.logs import LogSettings
from tailrace.server.companion import ApiProcess

JSON = "application/vnd.schemaregistry.v1+json"


@dataclass(frozen=True, slots=True)
class Served:
    """`registry` is the same registry, opened by this process."""

    url: str
    registry: BundledRegistry
    process: ApiProcess

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, object]:
        """Return status and JSON of the answer."""
        payload = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"Content-Type": JSON, **(headers or {})}
        answer = urllib3.request(method, self.url + path, body=payload, headers=sent, retries=False, timeout=60)
        assert answer.headers["Content-Type"] == JSON
        return answer.status, json.loads(answer.data)

    def code(self, method: str, path: str, body: Mapping[str, object] | bytes | None = None) -> tuple[int, object]:
        """Return status and error code of a refusal."""
        status, answer = self.ask(method, path, body)
        assert isinstance(answer, dict)
        assert answer["message"]
        return status, answer["error_code"]


@contextmanager
def serve(folder: Path, **settings: object) -> Iterator[Served]:
    config = folder / "worker.yaml"
    config.write_text("log: {type: bundled, path: ./log}\n")
    plan = Plan(load_settings(config), folder, [])
    port = free_port()
    listen = ServerSettings.model_validate({"listen": f"127.0.0.1:{port}", **settings})
    process = ApiProcess(plan, listen, LogSettings(level="error"))
    process.start()
    try:
        yield Served(f"http://127.0.0.1:{port}", BundledRegistry(folder / "log" / "registry"), process)
    finally:
        process.close()


def wait_for(condition: Callable[[], bool], *, timeout: float = 120) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
