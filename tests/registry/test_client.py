"""The client against a real registry of somebody else's, with what stands before such registries in earnest."""

from __future__ import annotations

import json
import urllib.request
from base64 import b64encode
from itertools import count
from pathlib import Path

import pytest
from pydantic import ValidationError

from registry.served import Served
from servers.registry_gate import Authority, Gate
from tailrace.codec.registry import IncompatibleSchema, UnknownSchema
from tailrace.codec.registry_client import ConfluentRegistry
from tailrace.codec.registry_settings import SchemaRegistryConfig
from tailrace.demo.postgres import free_port
from tailrace.errors import ConfigError, Fatal, Retriable

_numbers = count(1)


def record(*fields: str, default: bool = False, name: str = "R") -> dict[str, object]:
    more = {"default": 0} if default else {}
    members = [{"name": field, "type": "int", **more} for field in fields]
    return {"type": "record", "name": name, "namespace": "shop.orders", "fields": members}


def client(url: str | list[str], **settings: object) -> ConfluentRegistry:
    return ConfluentRegistry(SchemaRegistryConfig.model_validate({"url": url, **settings}))


@pytest.fixture(params=["apicurio", "tailrace"])
def url(request: pytest.FixtureRequest) -> str:
    """Somebody else's registry, and ours."""
    if request.param == "tailrace":
        served: Served = request.getfixturevalue("api")
        return served.url
    address: str = request.getfixturevalue("registry_server")
    return address


@pytest.fixture
def subject() -> str:
    """A subject of the test's own, with characters that a URL has to quote."""
    return f"shop/ä {next(_numbers)}-value"


def test_what_is_registered_is_there_for_others(url: str, subject: str) -> None:
    one, other = client(url), client(url)
    first = one.register(subject, record("a"))
    assert (first.subject, first.version) == (subject, 1)
    assert other.register(subject, record("a")) == first
    second = other.register(subject, record("a", "b", default=True))
    assert second.version == 2
    assert second.id != first.id
    assert subject in one.subjects()
    assert [(each.version, each.id, each.schema) for each in one.versions(subject)] == [
        (1, first.id, record("a")),
        (2, second.id, record("a", "b", default=True)),
    ]
    assert client(url).by_id(first.id) == record("a")


def test_the_same_schema_has_one_id_under_every_subject(url: str, subject: str) -> None:
    registry = client(url)
    mine = record("a", name=f"R{next(_numbers)}")
    assert registry.register(f"{subject}-1", mine).id == registry.register(f"{subject}-2", mine).id


def test_what_there_is_not_is_said(url: str, subject: str) -> None:
    registry = client(url)
    with pytest.raises(UnknownSchema, match="no subject shop"):
        registry.versions(subject)
    with pytest.raises(UnknownSchema, match="no schema with id 999999"):
        registry.by_id(999999)
    assert registry.check(subject, record("a")) == ()


def test_an_incompatible_schema_is_refused_forced_or_not(url: str, subject: str) -> None:
    registry = client(url, compatibility="BACKWARD")
    registry.register(subject, record("a"))
    assert registry.compatibility(subject) == "BACKWARD"
    assert registry.check(subject, record("a", "b")) == ["b: added without a default"]
    with pytest.raises(IncompatibleSchema, match="b: added without a default") as refused:
        registry.register(subject, record("a", "b"))
    assert "on_incompatible_schema" not in refused.value.hint
    with pytest.raises(IncompatibleSchema) as forced:
        registry.register(subject, record("a", "b"), force=True)
    assert "on_incompatible_schema: register has no power over this registry" in forced.value.hint
    assert registry.compatibility(subject) == "BACKWARD"
    registry.set_compatibility("NONE", subject)
    assert registry.register(subject, record("a", "b")).version == 2


def test_a_level_is_given_to_new_subjects_only(url: str, subject: str) -> None:
    client(url, compatibility="FULL").register(subject, record("a", default=True))
    other = client(url, compatibility="FORWARD")
    assert other.register(subject, record("a", "b", default=True)).version == 2
    assert other.compatibility(subject) == "FULL"
    with pytest.raises(ConfigError, match="unknown compatibility level SOME"):
        other.set_compatibility("SOME")  # type: ignore[arg-type]


def test_an_invalid_schema_is_refused_in_the_registrys_words(url: str, subject: str) -> None:
    with pytest.raises(Fatal, match=r"refused to register the schema of .*42201"):
        client(url).register(subject, {"type": "no such type"})


def test_where_nothing_may_be_registered_it_is_only_looked_up(url: str, subject: str) -> None:
    careful = client(url, auto_register=False)
    with pytest.raises(Fatal, match="does not have this schema of") as refused:
        careful.register(subject, record("a"))
    assert f"/subjects/{subject.replace('/', '%2F').replace('ä', '%C3%A4').replace(' ', '%20')}" in refused.value.hint
    registered = client(url).register(subject, record("a"))
    assert careful.register(subject, record("a")) == registered


def test_what_was_answered_is_not_asked_again(registry_server: str, subject: str) -> None:
    with Gate(registry_server) as gate:
        registry = client(gate.url)
        registered = registry.register(subject, record("a"))
        asked = len(gate.seen)
        registry.register(subject, record("a"))
        registry.by_id(registered.id)
        assert len(gate.seen) == asked
        again = client(gate.url)
        again.by_id(registered.id)
        again.by_id(registered.id)
        assert len(gate.seen) == asked + 1


@pytest.mark.parametrize(
    ("settings", "authorization"),
    [
        ({"username": "cdc", "password": "s3cret"}, "Basic " + b64encode(b"cdc:s3cret").decode()),
        ({"token": "t0ken"}, "Bearer t0ken"),
    ],
)
def test_credentials(registry_server: str, settings: dict[str, object], authorization: str) -> None:
    with Gate(registry_server, authorization=authorization) as gate:
        client(gate.url, **settings).subjects()
        with pytest.raises(Fatal, match="refuses the credentials: who are you") as refused:
            client(gate.url).subjects()
        assert "username and password, or token" in refused.value.hint
        gate.refuse = 403
        with pytest.raises(Fatal, match="does not allow this"):
            client(gate.url, **settings).subjects()


def test_tls_with_an_authority_of_ones_own(registry_server: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Gate(registry_server, tls=(authority.issue("server"), None)) as gate:
        client(gate.url, ca=authority.file).subjects()
        with pytest.raises(Fatal, match="certificate that is not trusted") as refused:
            client(gate.url).subjects()
        assert "schema_registry.ca" in refused.value.hint
    with pytest.raises(ConfigError, match=r"cannot use .*nowhere\.pem"):
        client(gate.url, ca=tmp_path / "nowhere.pem").subjects()


def test_tls_with_a_client_certificate(registry_server: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Gate(registry_server, tls=(authority.issue("server"), authority.file)) as gate:
        client(gate.url, ca=authority.file, certificate=authority.issue("client")).subjects()
        # With TLS 1.3 the other side's alert may come, or be lost with the connection.
        with pytest.raises((Fatal, Retriable), match="schema registry https") as refused:
            client(gate.url, ca=authority.file).subjects()
        assert "schema_registry.certificate" in refused.value.hint


def test_a_registry_that_is_away_is_waited_for(registry_server: str) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Retriable, match=f"cannot reach schema registry {nobody}: .*refused") as away:
        client(nobody).subjects()
    assert away.value.patient
    with Gate(registry_server) as gate:
        gate.refuse = 503
        with pytest.raises(Retriable, match="answers 503: not now") as away:
            client(gate.url).subjects()
        assert away.value.patient
        gate.refuse = 500
        with pytest.raises(Retriable, match="answers 500") as broken:
            client(gate.url).subjects()
        assert not broken.value.patient


def test_of_several_addresses_the_next_one_serves(registry_server: str, subject: str) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with Gate(registry_server) as gate:
        registry = client([nobody, gate.url, registry_server])
        registry.register(subject, record("a"))
        asked = len(gate.seen)
        assert asked > 1  # who has answered stays the first to be asked
        gate.refuse = 503
        registry.register(subject, record("a", "b", default=True))
        assert len(gate.seen) == asked + 1
    assert registry.versions(subject)[-1].version == 2


def test_what_is_no_registry_is_told_apart(registry_server: str) -> None:
    elsewhere = registry_server.removesuffix("/apis/ccompat/v7")
    with pytest.raises(Fatal, match="no schema registry at") as wrong:
        client(elsewhere).subjects()
    assert "/apis/ccompat/v7" in wrong.value.hint


def test_a_schema_that_is_not_avro_is_refused(registry_server: str, subject: str) -> None:
    definition = '{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}'
    body = json.dumps({"schema": definition, "schemaType": "JSON"}).encode()
    headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    address = f"{registry_server}/subjects/json-{next(_numbers)}/versions"
    with urllib.request.urlopen(urllib.request.Request(address, body, headers)) as response:
        schema_id = json.load(response)["id"]
    with pytest.raises(Fatal, match="a schema that is JSON"):
        client(registry_server).by_id(schema_id)


@pytest.mark.parametrize(
    ("strategy", "subjects"),
    [
        ("topic", ["t-key", "t-value"]),
        ("record", ["shop.orders.Key", "shop.orders.Envelope"]),
        ("topic_record", ["t-shop.orders.Key", "t-shop.orders.Envelope"]),
    ],
)
def test_subjects_by_strategy(strategy: str, subjects: list[str]) -> None:
    registry = client("http://nowhere", subject_strategy=strategy)
    key, value = record("id", name="Key"), record("id", name="Envelope")
    assert [registry.subject("t", "key", key), registry.subject("t", "value", value)] == subjects
    if strategy != "topic":
        with pytest.raises(Fatal, match="cannot name the subject of the values of t"):
            registry.subject("t", "value", "string")


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"url": "localhost:8081"}, "begin with http"),
        ({"url": "http://me:pw@localhost:8081"}, "must not hold a password"),
        ({"url": "http://r", "username": "me"}, "go together"),
        ({"url": "http://r", "username": "me", "password": "pw", "token": "t"}, "either"),
        ({"url": "http://r", "key": "key.pem"}, "key needs certificate"),
    ],
)
def test_settings_that_do_not_fit_together(settings: dict[str, object], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        SchemaRegistryConfig.model_validate(settings)


def test_several_addresses_may_stand_in_one_line() -> None:
    config = SchemaRegistryConfig.model_validate({"url": "http://a:8081/, https://b:8081"})
    assert config.urls == ("http://a:8081", "https://b:8081")
