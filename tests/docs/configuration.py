"""The text of docs/configuration.md, out of the settings' own models."""

from __future__ import annotations

import types
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from tailrace.config.settings import ServerSettings, WorkerSettings
from tailrace.log.kafka.settings import KafkaLogConfig
from tailrace.log.store.settings import BundledLogConfig
from tailrace_archive.config import ArchiveConfig
from tailrace_archive.iceberg.config import IcebergConfig
from tailrace_mysql.config import MysqlConfig
from tailrace_postgres.config import PostgresConfig
from tailrace_replica.config import ReplicaConfig
from tailrace_search.embedded import SearchConfig
from tailrace_search.settings import ClusterConfig

HEAD = """\
# Configuration

One YAML file. `${env:NAME}` stands for an environment variable, `${file:PATH}` for the content of a file; relative
paths start at the folder of the file. An unknown key is an error that names the nearest known one.

<!-- Written by `make reference` out of the settings' models; a test compares. -->
"""

BLOCKS: list[tuple[str, str, type[BaseModel]]] = [
    ("`log:` with `type: bundled`", "Where the topics are; without the block, `./tailrace-data`.", BundledLogConfig),
    ("`log:` with `type: kafka`", "Topics in a Kafka cluster: [docs/kafka.md](kafka.md).", KafkaLogConfig),
    ("`connectors.<name>:` with `type: postgres`", "A Postgres database to capture.", PostgresConfig),
    (
        "`connectors.<name>:` with `type: mysql` or `type: mariadb`",
        "A MySQL or MariaDB server to capture.",
        MysqlConfig,
    ),
    (
        "`sinks.<name>:` with `type: replica`",
        "A database that holds what the captured tables hold; docs/sinks.md says how.",
        ReplicaConfig,
    ),
    (
        "`sinks.<name>:` with `type: archive`",
        "Topics as files; [docs/archive.md](archive.md) has all of it.",
        ArchiveConfig,
    ),
    (
        "`sinks.<name>:` with `type: iceberg`",
        "Topics as tables of Apache Iceberg; [docs/iceberg.md](iceberg.md) has all of it.",
        IcebergConfig,
    ),
    (
        "`sinks.<name>:` with `type: opensearch` or `type: elasticsearch`",
        "A cluster to search in; needs the extra `tailrace[search]`: [docs/sinks-search.md](sinks-search.md).",
        ClusterConfig,
    ),
    (
        "`sinks.<name>:` with `type: search`",
        "An embedded search index, in one file: [docs/sinks-search.md](sinks-search.md).",
        SearchConfig,
    ),
    ("`worker:`", "How tasks are watched, restarted and stopped.", WorkerSettings),
    (
        "`server:`",
        "The worker's HTTP API: `server: {}` serves it, and without the block nothing listens.",
        ServerSettings,
    ),
]

WORDS: dict[Any, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true / false",
    Path: "path",
    SecretStr: "text",
    datetime: "time",
}


def configuration() -> str:
    """Return the text of the reference."""
    return HEAD + "".join(line for title, about, model in BLOCKS for line in _section(title, about, model))


def _section(title: str, about: str, model: type[BaseModel]) -> Iterator[str]:
    yield f"\n## {title}\n\n{about}\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n"
    yield from _rows(model, "")


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """One row for each setting, a block's own settings included."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if (inner := _model(kind)) is not None:
            yield from _rows(inner, f"{prefix}{name}.")
        elif name != "type":
            meaning = (field.description or "").replace("<", "&lt;")
            yield f"| `{prefix}{name}` | {_kind(kind)} | {_default(field)} | {meaning} |\n"


def _model(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a block, also of one that may be left out."""
    for kind in get_args(annotation) or (annotation,):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return None if get_origin(annotation) is dict else kind
    return None


def _kind(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " / ".join(f"`{word}`" for word in inner)
    if origin is list:
        return f"list of {_kind(inner[0])}"
    if origin is dict:
        return "block"
    if origin in {Union, types.UnionType}:
        return " / ".join(_kind(part) for part in inner if part is not type(None))
    return _kind(inner[0]) if inner else WORDS[annotation]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.default
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return f"`[{', '.join(repr(item) for item in value)}]`".replace("'", '"')
    return f"`{value}`" if value is not None and value != {} and str(value) else ""
