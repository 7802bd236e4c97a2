"""The bundled registry over HTTP: answers, statuses and error codes of Confluent's REST API."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path

import pytest

from registry.served import Served, wait_for
from tailrace.errors import ConfigError, TailraceError
from tailrace.server.listener import listen

_numbers = count(1)


def record(*fields: str, default: bool = False) -> dict[str, object]:
    more = {"default": 0} if default else {}
    return {"type": "record", "name": "R", "fields": [{"name": name, "type": "int", **more} for name in fields]}


def text(schema: object) -> str:
    return json.dumps(schema, separators=(",", ":"))


def body(schema: object, **more: object) -> dict[str, object]:
    return {"schema": text(schema), **more}


@pytest.fixture
def subject() -> str:
    return f"shop.public.orders{next(_numbers)}-value"


def test_the_life_of_a_subject(api: Served, subject: str) -> None:
    one, two = record("a"), record("a", "b", default=True)
    status, answer = api.ask("POST", f"/subjects/{subject}/versions", body(one))
    assert status == 200
    assert isinstance(answer, dict)
    first = answer["id"]
    assert api.ask("POST", f"/subjects/{subject}/versions", body(one)) == (200, {"id": first})
    second = api.registry.register(subject, two).id  # as a task does it, in a process of its own
    versions = [
        {"subject": subject, "version": 1, "id": first, "schema": text(one)},
        {"subject": subject, "version": 2, "id": second, "schema": text(two)},
    ]
    for path, expected in {
        f"/subjects/{subject}/versions": [1, 2],
        f"/subjects/{subject}/versions/1": versions[0],
        f"/subjects/{subject}/versions/latest": versions[1],
        f"/subjects/{subject}/versions/-1": versions[1],
        f"/subjects/{subject}/versions/1/schema": one,
        f"/subjects/{subject}/versions/1/referencedby": [],
        f"/subjects?subjectPrefix={subject}": [subject],
        f"/schemas?subjectPrefix={subject}": versions,
        f"/schemas?subjectPrefix={subject}&latestOnly=true": versions[1:],
        f"/schemas/ids/{first}": {"schema": text(one)},
        f"/schemas/ids/{first}/schema": one,
        "/schemas/types": ["AVRO"],
    }.items():
        assert api.ask("GET", path) == (200, expected), path
    assert api.ask("POST", f"/subjects/{subject}", body(one)) == (200, versions[0])


def test_where_a_schema_is_used(api: Served, subject: str) -> None:
    schema = record(f"only{subject[:3]}", f"f{next(_numbers)}")
    schema_id = api.registry.register(f"{subject}-1", schema).id
    api.registry.register(f"{subject}-2", schema)
    assert api.ask("GET", f"/schemas/ids/{schema_id}/subjects") == (200, [f"{subject}-1", f"{subject}-2"])
    expected = [{"subject": f"{subject}-{number}", "version": 1} for number in (1, 2)]
    assert api.ask("GET", f"/schemas/ids/{schema_id}/versions") == (200, expected)


@pytest.mark.parametrize(
    ("method", "path", "sent", "refusal"),
    [
        ("GET", "/subjects/none/versions", None, (404, 40401)),
        ("GET", "/subjects/none/versions/1", None, (404, 40401)),
        ("POST", "/subjects/none", body("int"), (404, 40401)),
        ("DELETE", "/subjects/none", None, (404, 40401)),
        ("GET", "/subjects/there/versions/7", None, (404, 40402)),
        ("DELETE", "/subjects/there/versions/7", None, (404, 40402)),
        ("POST", "/compatibility/subjects/there/versions/7", body("int"), (404, 40402)),
        ("GET", "/schemas/ids/4711", None, (404, 40403)),
        ("GET", "/schemas/ids/4711/subjects", None, (404, 40403)),
        ("POST", "/subjects/there", body("string"), (404, 40403)),
        ("GET", "/config/there", None, (404, 40408)),
        ("DELETE", "/config/there", None, (404, 40401)),
        ("GET", "/mode/there", None, (404, 40409)),
        ("POST", "/subjects/there/versions", {"schema": "{]"}, (422, 42201)),
        ("POST", "/subjects/there/versions", {"schema": '{"type": "nothing"}'}, (422, 42201)),
        ("POST", "/subjects/there/versions", {"schema": ""}, (422, 42201)),
        ("POST", "/subjects/there/versions", {}, (422, 42201)),
        ("POST", "/subjects/there/versions", body("int", schemaType="PROTOBUF"), (422, 42201)),
        ("POST", "/subjects/there/versions", body("int", references=[{"name": "x"}]), (422, 42201)),
        ("POST", "/subjects/there/versions", body("string", id=7), (422, 42205)),
        ("GET", "/subjects/there/versions/none", None, (422, 42202)),
        ("GET", "/subjects/there/versions/0", None, (422, 42202)),
        ("PUT", "/config", {"compatibility": "SOME"}, (422, 42203)),
        ("PUT", "/config/there", {}, (422, 42203)),
        ("PUT", "/mode", {"mode": "SOME"}, (422, 42204)),
        ("PUT", "/mode", {"mode": "READONLY"}, (422, 42205)),
        ("GET", "/nothing", None, (404, 404)),
        ("PUT", "/subjects", None, (405, 405)),
        ("POST", "/subjects/there/versions", b"[]", (400, 400)),
    ],
)
def test_refusals(
    api: Served, method: str, path: str, sent: Mapping[str, object] | bytes | None, refusal: tuple[int, int]
) -> None:
    api.registry.register("there", "int")
    assert api.code(method, path, sent) == refusal


def test_what_breaks_the_level_is_refused_with_its_reasons(api: Served, subject: str) -> None:
    api.registry.register(subject, record("a"))
    wrong = body(record("a", "b"))
    status, answer = api.ask("POST", f"/subjects/{subject}/versions", wrong)
    assert (status, answer) == (
        409,
        {
            "error_code": 409,
            "message": f'Schema being registered is incompatible with an earlier schema for subject "{subject}", '
            "details: [b: added without a default]",
        },
    )
    check = f"/compatibility/subjects/{subject}/versions"
    for path in (check, f"{check}/latest", f"{check}/1"):
        assert api.ask("POST", path, wrong) == (200, {"is_compatible": False})
        assert api.ask("POST", path, body(record("a", "b", default=True))) == (200, {"is_compatible": True})
    verdict = {"is_compatible": False, "messages": ["b: added without a default"]}
    assert api.ask("POST", f"{check}?verbose=true", wrong) == (200, verdict)
    assert api.ask("POST", "/compatibility/subjects/none/versions/latest", wrong) == (200, {"is_compatible": True})


def test_deleting_and_deleting_for_good(api: Served, subject: str) -> None:
    one, two = record("a"), record("a", "b", default=True)
    first = api.registry.register(subject, one).id
    api.registry.register(subject, two)
    version = f"/subjects/{subject}/versions/2"
    assert api.code("DELETE", f"{version}?permanent=true") == (404, 40407)
    assert api.ask("DELETE", version) == (200, 2)
    assert api.code("DELETE", version) == (404, 40406)
    assert api.ask("GET", f"/subjects/{subject}/versions") == (200, [1])
    assert api.ask("GET", f"/subjects/{subject}/versions?deleted=true") == (200, [1, 2])
    assert api.code("POST", f"/subjects/{subject}", body(two)) == (404, 40403)
    assert api.ask("POST", f"/subjects/{subject}?deleted=true", body(two))[0] == 200
    assert api.ask("DELETE", f"{version}?permanent=true") == (200, 2)
    assert api.ask("GET", f"/subjects/{subject}/versions?deleted=true") == (200, [1])
    assert api.registry.register(subject, two).version == 3

    api.registry.set_compatibility("FULL", subject)
    whole = f"/subjects/{subject}"
    assert api.code("DELETE", f"{whole}?permanent=true") == (404, 40405)
    assert api.ask("DELETE", whole) == (200, [1, 3])
    assert api.code("DELETE", whole) == (404, 40404)
    assert api.code("GET", f"{whole}/versions") == (404, 40401)
    assert api.ask("GET", f"/subjects?deletedOnly=true&subjectPrefix={subject}") == (200, [subject])
    assert api.code("GET", f"/config/{subject}") == (404, 40408)
    assert api.ask("DELETE", f"{whole}?permanent=true") == (200, [1, 3])
    assert api.ask("GET", f"/subjects?deleted=true&subjectPrefix={subject}") == (200, [])
    # The log may hold records that were written with it.
    assert api.ask("GET", f"/schemas/ids/{first}") == (200, {"schema": text(one)})


def test_levels_and_mode(start_api: Callable[..., Served]) -> None:
    api = start_api()
    assert api.ask("GET", "/config") == (200, {"compatibilityLevel": "BACKWARD"})
    assert api.ask("PUT", "/config", {"compatibility": "full"}) == (200, {"compatibility": "FULL"})
    assert api.ask("PUT", "/config/s", {"compatibility": "NONE"}) == (200, {"compatibility": "NONE"})
    assert api.ask("GET", "/config/s") == (200, {"compatibilityLevel": "NONE"})
    assert api.ask("GET", "/config/t?defaultToGlobal=true") == (200, {"compatibilityLevel": "FULL"})
    assert api.registry.compatibility("s") == "NONE"
    assert api.ask("DELETE", "/config/s") == (200, {"compatibilityLevel": "NONE"})
    assert api.ask("DELETE", "/config") == (200, {"compatibilityLevel": "FULL"})
    assert api.registry.compatibility("s") == "BACKWARD"
    assert api.ask("GET", "/mode") == api.ask("GET", "/mode/s?defaultToGlobal=true") == (200, {"mode": "READWRITE"})
    assert api.ask("PUT", "/mode/s", {"mode": "READWRITE"}) == (200, {"mode": "READWRITE"})


def test_a_token_is_demanded_of_everybody(start_api: Callable[..., Served]) -> None:
    api = start_api(token="t0ken")
    basic = "Basic " + b64encode(b"anybody:t0ken").decode()
    for allowed in ("Bearer t0ken", "bearer t0ken", basic):
        assert api.ask("GET", "/subjects", headers={"Authorization": allowed}) == (200, [])
    for sent in ("Bearer other", "Basic ???", "Basic " + b64encode(b"t0ken").decode(), "t0ken"):
        assert api.ask("GET", "/subjects", headers={"Authorization": sent})[0] == 401
    assert api.code("GET", "/nothing") == (401, 401)


def test_a_web_page_cannot_write(api: Served) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        headers = {"Content-Type": kind}
        assert api.ask("POST", "/subjects/web/versions", body("int"), headers)[0] == 415
    assert "web" not in api.registry.subjects()


def test_a_process_that_dies_is_started_again(start_api: Callable[..., Served]) -> None:
    api = start_api()
    assert api.ask("POST", "/subjects/s/versions", body("int")) == (200, {"id": 1})
    child = api.process._child
    assert child is not None
    child.kill()
    wait_for(lambda: child.ended() is not None)
    api.process.turn(time.monotonic())
    assert api.process._child is None
    api.process.turn(time.monotonic() + 2)
    assert api.ask("GET", "/subjects/s/versions") == (200, [1])


def test_a_store_that_is_damaged_is_an_error_of_the_store(start_api: Callable[..., Served]) -> None:
    api = start_api()
    api.registry.register("s", "int")
    with Path(api.registry._ledger.name, "registry.jsonl").open("a") as file:
        file.write("damage\n")
    assert api.code("GET", "/subjects") == (500, 50001)


def test_an_address_that_cannot_be_had() -> None:
    with listen("127.0.0.1:0") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TailraceError, match=f"cannot listen on 127.0.0.1:{port}: something else does") as error:
            listen(f"127.0.0.1:{port}")
        assert "server.listen" in error.value.hint
    for address in ("192.0.2.1:8083", "no-such-host.invalid:8083", "127.0.0.1:99999"):
        with pytest.raises(ConfigError, match=r"server\.listen: cannot"):
            listen(address)
