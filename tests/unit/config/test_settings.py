"""The config file: what is read from it, and what is said about what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from tailrace.config.interpolation import Interpolation
from tailrace.config.masking import Masker
from tailrace.config.settings import Settings, load_settings
from tailrace.config.validation import validate
from tailrace.errors import ConfigError


def load(tmp_path: Path, text: str, *, only_log: bool = False) -> Settings:
    file = tmp_path / "worker.yaml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file, only_log=only_log)


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return str(caught.value)


def test_the_contract_s_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "s3cret!")
    settings = load(
        tmp_path,
        """
        log: {type: bundled, path: ./tailrace-data}
        server: {listen: 127.0.0.1:8083}
        connectors:
          shop:
            type: postgres
            url: postgresql://tailrace:${env:SHOP_PASSWORD}@localhost:5432/shop
            tables: ["public.*"]
        sinks:
          lake: {type: archive, topics: ["shop.public.*"], path: ./archive, format: parquet}
        """,
    )
    assert settings.connectors["shop"]["url"] == "postgresql://tailrace:s3cret!@localhost:5432/shop"
    assert settings.server is not None
    assert settings.server.listen == "127.0.0.1:8083"
    assert settings.sinks["lake"]["format"] == "parquet"
    assert settings.folder == tmp_path
    assert "s3cret!" not in repr(settings)
    assert "postgresql://tailrace:***@localhost:5432/shop" in repr(settings)


def test_an_empty_file_is_a_bundled_log_and_nothing_to_run(tmp_path: Path) -> None:
    settings = load(tmp_path, "")
    assert (settings.log["type"], dict(settings.connectors)) == ("bundled", {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("conectors: {}", 'conectors: unknown key, did you mean "connectors"?'),
        ("zzz: {}", "zzz: unknown key, known are connectors, log, server, sinks, worker"),
        ("server: {lisen: x}", 'server.lisen: unknown key, did you mean "listen"?'),
        ("worker: {restart_limit: many}", "worker.restart_limit: should be a valid integer"),
        ("worker: {restart_limit: many}", 'got "many"'),
        ("connectors: [a]", "connectors: must be keys and values"),
        ("connectors: {shop: 1}", "connectors.shop: must be keys and values"),
        ("connectors: {sh/op: {}}", 'connectors: "sh/op" cannot be a name'),
        ("connectors: {1: {}}", "connectors: key 1 must be text"),
        ("connectors: {a: {}}\nsinks: {a: {}}", "sinks.a: a connector has this name already"),
        ("log: {a: 1, a: 2}", 'line 1 column 13: key "a" comes twice'),
        ("log: {a: [}", "line 1 column 11"),
        ("- 1", "the top level must be keys and values"),
        ("log: {a: '${env:TAILRACE_NOT_SET}'}", "log.a: environment variable TAILRACE_NOT_SET is not set"),
        ("log: {a: ['${file:nowhere}']}", "log.a[0]: cannot read"),
        ("log: {a: '${vault:x}'}", "log.a: unknown placeholder ${vault:x}"),
        ("log: {a: '${HOME}'}", "log.a: unknown placeholder ${HOME}"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no-such\.yaml: No such file"):
        load_settings(tmp_path / "no-such.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"log: {a: \xff}")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_settings(tmp_path / "latin.yaml")


def test_who_looks_into_the_log_needs_no_password(tmp_path: Path) -> None:
    text = "connectors: {shop: {url: '${env:TAILRACE_NOT_SET}'}}"
    assert list(load(tmp_path, text, only_log=True).connectors) == ["shop"]
    with pytest.raises(ConfigError):
        load(tmp_path, text)


def test_a_secret_from_a_file_loses_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-file\n")
    assert load(tmp_path, "log: {a: 'x${file:secret}y'}").log["a"] == "xfrom-filey"


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        ("plain", "postgresql://u:plain@h/d"),
        ("p@ss/w:rd", "postgresql://u:p%40ss%2Fw%3Ard@h/d"),
        ("p%40ss", "postgresql://u:p%40ss@h/d"),
        ("50%", "postgresql://u:50%25@h/d"),
        ("pä ss", "postgresql://u:p%C3%A4%20ss@h/d"),
    ],
)
def test_a_password_may_hold_what_a_url_may_not(tmp_path: Path, value: str, filled: str) -> None:
    found = Interpolation(tmp_path, {"P": value}).fill("postgresql://u:${env:P}@h/d", "url")
    assert found == filled


def test_elsewhere_values_go_in_as_they_are(tmp_path: Path) -> None:
    filling = Interpolation(tmp_path, {"P": "a@b/c", "H": "host/x"})
    assert filling.fill({"a": "${env:P}", "b": ["$${env:P} 5 $ {", 7, None]}, "") == {
        "a": "a@b/c",
        "b": ["${env:P} 5 $ {", 7, None],
    }
    assert filling.fill("http://h/${env:P}@x", "") == "http://h/a@b/c@x"


def test_a_value_cannot_bring_structure_or_placeholders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVIL", "x, b: {c: 1} ${env:HOME}")
    assert load(tmp_path, "log: {a: '${env:EVIL}'}").log == {"a": "x, b: {c: 1} ${env:HOME}"}


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = 1


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    type: str = "x"
    tables: list[str] = ["*"]
    url: SecretStr = SecretStr("")
    path: Path = Path("default")
    inner: Inner = Inner()
    topics: dict[str, Inner] = {}
    limit: int = Field(1, gt=0)


def said_of(values: object) -> str:
    with pytest.raises(ConfigError) as caught:
        validate(Model, values, "connectors.shop", folder=Path("/etc/tailrace"), secrets={"hush-hush"})
    return caught.value.message


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tabels": []}, 'connectors.shop.tabels: unknown key, did you mean "tables"?'),
        ({"inner": {"sise": 1}}, 'connectors.shop.inner.sise: unknown key, did you mean "size"?'),
        ({"topics": {"a.*": {"sise": 1}}}, 'connectors.shop.topics.a.*.sise: unknown key, did you mean "size"?'),
        ({"tables": "public.*"}, 'connectors.shop.tables: should be a valid list, got "public.*"'),
        ({"tables": ["a", 5]}, "connectors.shop.tables[1]: should be a valid string, got 5"),
        ({"limit": 0}, "connectors.shop.limit: should be greater than 0, got 0"),
        ({"limit": "hush-hush"}, 'got "***"'),
        ({"url": 5}, "connectors.shop.url: should be a valid string, got 5"),
        (7, "connectors.shop: must be keys and values"),
    ],
)
def test_what_does_not_fit_a_plugin_is_named(values: object, said: str) -> None:
    assert said in said_of(values)


def test_all_faults_are_named_at_once() -> None:
    said = said_of({"tabels": [], "limit": 0})
    assert "tabels" in said
    assert "limit" in said


def test_relative_paths_start_at_the_config_file() -> None:
    folder = Path("/etc/tailrace")
    assert validate(Model, {}, "log", folder=folder).path == folder / "default"
    assert validate(Model, {"path": "./data"}, "log", folder=folder).path == folder / "data"
    assert validate(Model, {"path": "/var/x"}, "log", folder=folder).path == Path("/var/x")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("connect to postgresql://me:pa55@h/d failed", "connect to postgresql://me:***@h/d failed"),
        ("user=me password=pa55 host=h", "user=me password=*** host=h"),
        ("password='pa 55' host=h", "password=*** host=h"),
        ("the word is open-sesame, hush", "the word is ***, hush"),
        ("table token_count has 3 rows", "table token_count has 3 rows"),
        ("no secrets: at all", "no secrets: at all"),
        ("denied for 'me'@'h' (using password: YES), hush", "denied for 'me'@'h' (using password: YES), hush"),
        ("denied for 'me'@'h' (using password: NO)", "denied for 'me'@'h' (using password: NO)"),
        ("(using password: YESman)", "(using password: ***"),
        ("password: YES) is one", "password: *** is one"),
    ],
)
def test_masking(text: str, masked: str) -> None:
    assert Masker(["open-sesame", "abc"]).text(text) == masked


def test_masking_goes_by_keys_too() -> None:
    tree = {"password": "x", "deep": [{"api_token": 1, "plain": "p"}], "none_token": None}
    assert Masker().tree(tree) == {"password": "***", "deep": [{"api_token": "***", "plain": "p"}], "none_token": None}


def test_only_secrets_are_secret(tmp_path: Path) -> None:
    (tmp_path / "mounted").write_text("from-a-file")
    environment = {
        "HOST": "db.example.org",
        "SHOP": "in-a-url",
        "DSN": "postgresql://me:p%40ss-word@h/d",
        "API_TOKEN": "by-variable",
        "X": "by-key",
    }
    filling = Interpolation(tmp_path, environment)
    filling.fill(
        {
            "url": "postgresql://u:${env:SHOP}@${env:HOST}/d",
            "other": "${env:DSN}",
            "a": "${env:API_TOKEN} ${file:mounted}",
            "password": "${env:X}",
        },
        "connectors.shop",
    )
    assert filling.secrets == {"in-a-url", "p%40ss-word", "p@ss-word", "by-variable", "from-a-file", "by-key"}


def test_the_salt_of_a_hash_is_a_secret(tmp_path: Path) -> None:
    rules = {"hash": {"*.ssn": {"algorithm": "sha256", "salt": "${env:PEPPER}"}}}
    filling = Interpolation(tmp_path, {"PEPPER": "black-pepper"})
    filled = filling.fill({"columns": rules}, "connectors.shop")
    assert filling.secrets == {"black-pepper"}
    written_out = {"columns": {"hash": {"*.ssn": {"algorithm": "sha256", "salt": "in the file"}}}}
    for tree in (filled, written_out):
        assert Masker().tree(tree) == {"columns": {"hash": {"*.ssn": {"algorithm": "sha256", "salt": "***"}}}}
