"""Indexes, aliases and templates: for each topic an alias that people search, and the index behind it.

    shop.public.orders                  the alias: the topic's name, in lower case
    shop.public.orders-000001           the index of the sink's first generation; a rebuild makes the next
    shop.public.orders-000001.writer    an alias for the sink alone: bulk requests demand that it exists, or a cluster
                                        that makes indexes by itself would make one of an index that was deleted
    tailrace-shop.public.orders         the template for such indexes

The index's mapping says in `_meta` which topic it is for, and what the key was.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from tailrace.codec.delivery import Shape
from tailrace.errors import ConfigError, Fatal
from tailrace_search.client import Answer, Client
from tailrace_search.mapping import META, META_PROPERTY, Choices, Property, properties
from tailrace_search.settings import ClusterConfig

log = structlog.get_logger()

_PRIORITY = 200
_LONGEST_ALIAS = 200
"""Octets: a name may have 255, and ours get longer."""
_DEFAULTS: Mapping[str, object] = {
    # How long a deletion's version is remembered: as long as a write of a task that is gone may be on its way.
    "gc_deletes": "10m",
}


@dataclass(slots=True)
class Shelf:
    """The index of a topic, as this task knows it."""

    topic: str
    alias: str
    index: str
    key: tuple[str, ...] | None
    fields: dict[str, Property] = field(default_factory=dict)
    shapes: set[int] = field(default_factory=set)

    @property
    def writer(self) -> str:
        """The alias to write to."""
        return f"{self.index}.writer"


@dataclass(frozen=True, slots=True)
class Product:
    """What answers: its name, version, and its name for a flattened field, if it has one."""

    name: str
    version: tuple[int, ...]
    flat: str

    @classmethod
    def of(cls, answer: Answer) -> Product:
        """Read the answer to `GET /`."""
        told = answer.json.get("version") if isinstance(answer.json, dict) else None
        if not isinstance(told, dict):
            raise Fatal(f"ask the cluster for its version: {answer.status} {answer.reason}")
        version = tuple(int(part) for part in re.findall(r"\d+", str(told.get("number", "0")))[:3])
        if told.get("distribution") == "opensearch":
            return cls("opensearch", version, "flat_object" if version >= (2, 7) else "")
        flat = "flattened" if version >= (7, 3) and told.get("build_flavor") != "oss" else ""
        return cls("elasticsearch", version, flat)


class Catalog:
    """Finds, makes and extends the indexes of one generation. `serving`: aliases are made with their index."""

    def __init__(self, client: Client, config: ClusterConfig, generation: int, *, serving: bool = True) -> None:
        self._client = client
        self._config = config
        self._generation = generation
        self._serving = serving
        self._shelves: dict[str, Shelf] = {}
        self._choices: Choices = config.choices(Product.of(client.request("GET", "/")).flat)

    @property
    def shelves(self) -> Sequence[Shelf]:
        """Those that were asked for."""
        return list(self._shelves.values())

    def shelf(self, topic: str, shape: Shape | None, key: Sequence[str] | None) -> Shelf:
        """Return the index of `topic`, made or extended for rows of `shape`; `key` names its columns, None: no key."""
        shelf = self._shelves.get(topic)
        if shelf is None:
            shelf = self._find(topic) or self._made(topic, shape, key)
            self._shelves[topic] = shelf
        _check_key(shelf, key)
        if shape is not None and shape.id not in shelf.shapes:
            self._follow(shelf, shape)
        return shelf

    def existing(self, topic: str) -> Shelf | None:
        """Return the index of `topic`, if there is one."""
        shelf = self._shelves.get(topic) or self._find(topic)
        if shelf is not None:
            self._shelves[topic] = shelf
        return shelf

    def _find(self, topic: str) -> Shelf | None:
        alias = alias_of(topic, self._config.index_prefix)
        index = f"{alias}-{self._generation:06d}"
        answer = self._client.request("GET", f"/{index}/_mapping")
        if answer.status == 404:
            return None
        mappings: dict[str, Any] = _ok(answer, f"read the mapping of {index}").json[index]["mappings"]
        told = mappings.get("_meta", {}).get("tailrace", {})
        if told.get("topic", topic) != topic:
            hint = "they are the same in lower case: give one of them a sink of its own, with another index_prefix"
            raise Fatal(f"index topic {topic}: {index} holds topic {told['topic']}", hint=hint)
        key = told.get("key")
        return Shelf(topic, alias, index, None if key is None else tuple(key), dict(mappings.get("properties", {})))

    def _made(self, topic: str, shape: Shape | None, key: Sequence[str] | None) -> Shelf:
        alias = alias_of(topic, self._config.index_prefix)
        shelf = Shelf(topic, alias, f"{alias}-{self._generation:06d}", None if key is None else tuple(key))
        if shape is not None:
            shelf.fields = self._properties(shelf, shape)
            shelf.shapes.add(shape.id)
        self._put_template(shelf)
        aliases: dict[str, object] = {shelf.writer: {}}
        if self._serving:
            aliases[shelf.alias] = {}
        answer = self._client.request("PUT", f"/{shelf.index}", {**self._template(shelf), "aliases": aliases})
        if answer.status == 400 and "invalid_alias_name" in answer.reason:
            hint = f"rename or remove the index {shelf.alias}, or set index_prefix"
            raise Fatal(f"create alias {shelf.alias}: there is an index of that name", hint=hint)
        _ok(answer, f"create index {shelf.index}")
        log.info("index created", topic=shelf.topic, index=shelf.index, columns=len(shelf.fields))
        return shelf

    def _follow(self, shelf: Shelf, shape: Shape) -> None:
        wanted = self._properties(shelf, shape)
        shelf.shapes.add(shape.id)
        for name, mapping in wanted.items():
            known = shelf.fields.get(name)
            if known is not None and known.get("type") != mapping.get("type"):
                log.warning(
                    "column has another type than the index",
                    topic=shelf.topic, column=name, indexed=known.get("type"), type=mapping.get("type"),
                    hint="values that do not fit are refused; tailrace rebuild makes an index that fits",
                )  # fmt: skip
        added = {name: mapping for name, mapping in wanted.items() if name not in shelf.fields}
        if not added:
            return
        answer = self._client.request("PUT", f"/{shelf.index}/_mapping", {"properties": added})
        _ok(answer, f"add {', '.join(added)} to the mapping of {shelf.index}")
        shelf.fields |= added
        self._put_template(shelf)

    def _put_template(self, shelf: Shelf) -> None:
        name = f"tailrace-{shelf.alias}"
        body = {"index_patterns": [f"{shelf.alias}-0*"], "priority": _PRIORITY, "template": self._template(shelf)}
        answer = self._client.request("PUT", f"/_index_template/{name}", body)
        if answer.status == 400:
            hint = "another template has the same priority for such names; tailrace check names it"
            raise Fatal(f"write template {name}: {answer.reason}", hint=hint)
        _ok(answer, f"write template {name}")

    def _template(self, shelf: Shelf) -> dict[str, object]:
        columns = len(shelf.fields)
        limit = {"mapping.total_fields.limit": max(1_000, 4 * columns)}
        settings = {**_DEFAULTS, **limit, **self._config.index_settings}
        blind = not shelf.fields
        mappings = {
            # What the schema does not name is kept, not indexed; without a schema all is mapped as it comes.
            "dynamic": blind,
            **({"date_detection": False} if blind else {}),
            "properties": {**shelf.fields, META: META_PROPERTY},
            "_meta": {"tailrace": {"topic": shelf.topic, "key": None if shelf.key is None else list(shelf.key)}},
        }
        return {"settings": {"index": settings}, "mappings": mappings}

    def _properties(self, shelf: Shelf, shape: Shape) -> dict[str, Property]:
        made = properties(shape, self._choices, shelf.key or ())
        for column in made:
            own = self._config.fields.get(f"{shelf.topic}.{column}")
            if own is not None:
                made[column] = own
        if shelf.key is None:
            made["__op"] = {"type": "keyword"}
        return made


def alias_of(topic: str, prefix: str) -> str:
    """Return the alias of a topic: names of indexes have lower case only, and few signs."""
    name = prefix + re.sub(r'[\\/*?"<>| ,#:]', "_", topic.lower())
    if name.startswith(("-", "_", "+", ".")):
        name = f"t{name}"
    if len(name.encode()) > _LONGEST_ALIAS:
        digest = hashlib.sha256(topic.encode()).hexdigest()[:16]
        name = f"{name.encode()[: _LONGEST_ALIAS - 17].decode(errors='ignore')}-{digest}"
    return name


def _check_key(shelf: Shelf, key: Sequence[str] | None) -> None:
    now = None if key is None else tuple(key)
    if now != shelf.key:
        was, told = (", ".join(names) if names else "none" for names in (shelf.key, now))
        raise Fatal(
            f"index topic {shelf.topic}: the table's key was {was}, and is {told}",
            hint="ids of documents come from the key: build the index anew, with tailrace rebuild",
        )


def _ok(answer: Answer, what: str) -> Answer:
    if answer.status == 400:
        raise ConfigError(f"{what}: {answer.reason}", hint="look at index_settings and fields of the sink")
    if answer.status not in {200, 201}:
        raise Fatal(f"{what}: {answer.status} {answer.reason}")
    return answer
