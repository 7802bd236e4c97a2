"""The Avro schemas of the topics beside the tables, for readers that want them without a registry.

    heartbeat-key, heartbeat-value          `__debezium-heartbeat.<prefix>`
    transaction-key, transaction-value      `<prefix>.transaction`

They are Debezium's, as its Avro converter registers them. The schemas of tables are not here: those depend on the
tables, and are in the registry. Dead letters have none: they are JSON, since what is in them did not fit a schema.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files

_SUFFIX = ".avsc"


def names() -> list[str]:
    """Return the names of all schemas, sorted."""
    found = [entry.name for entry in files(__name__).iterdir()]
    return sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX))


def load(name: str) -> Mapping[str, object]:
    """Return a schema as parsed JSON; raises `KeyError` naming the schemas that there are."""
    if name not in names():
        raise KeyError(f"no schema {name}; there are {', '.join(names())}")
    text = files(__name__).joinpath(f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    schema: Mapping[str, object] = json.loads(text)
    return schema
