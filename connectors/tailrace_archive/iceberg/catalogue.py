"""The catalogue: the tables of a sink, how far each has been written, and how far the sink is.

Iceberg commits one table at a time, so a commit of the sink is many: every table gets its rows and, in the same
transaction, the mark of how far they reach; when all have, the sink's position is written down. Who dies in between
reads the rest again, and each table leaves out what its mark says that it has.

    <namespace>.<table>         property tailrace.<sink>: {"topic", "era", "key", "next": {partition: next offset}}
    tailrace_sinks.<sink>       no rows; property tailrace.sink: {"writer", "era", "position"}

A commit demands that the table is as it was when its mark was read. So of two writers one is refused, whatever the
other is: and starts again with the mark as it is then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from uuid import uuid4

import pyarrow as pa
import structlog
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
    ValidationError,
)  # fmt: skip
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table, Transaction
from pyiceberg.transforms import DayTransform, HourTransform

from tailrace.errors import ConfigError, Fatal, Retriable, TailraceError
from tailrace.position import Position
from tailrace_archive.fault import store_fault
from tailrace_archive.iceberg.config import IcebergConfig
from tailrace_archive.iceberg.shape import decimals, scales

log = structlog.get_logger()

LEDGER = "tailrace_sinks"
STATE = "tailrace.sink"
ROWS = {
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}
"""Properties of new tables: every commit writes the metadata anew, and nobody needs all that were before."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What of a topic a table has: the next offset of each partition; and, of a state, the columns of its key."""

    topic: str
    era: int
    key: Sequence[str] = ()
    next: Mapping[str, int] = field(default_factory=dict)

    def text(self) -> str:
        """Return the mark as it is stored."""
        return json.dumps({"topic": self.topic, "era": self.era, "key": self.key, "next": self.next})


@dataclass(slots=True)
class Home:
    """A table that is written, and its mark as it was when this writer saw it last."""

    table: Table
    mark: Mark
    where: str
    stored: str

    def commit(self, told: Mapping[int, int], change: Callable[[Transaction], None]) -> None:
        """Commit what `change` does, and that each partition has been told up to an offset, which is not included.

        Raises `Retriable` where somebody else has told it meanwhile.
        """
        if self.table.properties.get(self.where) != self.stored:
            raise Retriable(f"commit to table {self.name}: another writer of this sink has written it meanwhile")
        mark = replace(self.mark, next={**self.mark.next, **{str(key): at for key, at in told.items()}})
        # Tried again by pyiceberg, it would be put on top of what another writer of this sink may have told.
        self.table.metadata.properties["commit.retry.num-retries"] = "0"
        with table_faults(f"commit to table {self.name}"), self.table.transaction() as transaction:
            change(transaction)
            transaction.set_properties({self.where: mark.text()})
        self.mark, self.stored = mark, mark.text()

    def append(self, told: Mapping[int, int], files: Sequence[DataFile]) -> None:
        """Commit new files."""

        def change(transaction: Transaction) -> None:
            with transaction.update_snapshot().merge_append() as snapshot:
                for file in files:
                    snapshot.append_data_file(file)

        self.commit(told, change)

    @property
    def name(self) -> str:
        """The table's name, with that of its namespace."""
        return ".".join(self.table.name())


class Catalogue:
    """The catalogue of one sink's tables."""

    def __init__(self, name: str, config: IcebergConfig) -> None:
        self._name, self._config = name, config
        self._writer = uuid4().hex
        self._era = 0
        self._catalog: Catalog | None = None
        self._homes: dict[str, Home] = {}

    def open(self) -> Position | None:
        """Become the writer; return the position of the last commit."""
        self._homes.clear()
        ledger = self._ledger()
        state = _state(ledger)
        self._era = int(str(state["era"]))
        self._write(ledger, {**state, "writer": self._writer})
        return _position(state)

    def commit(self, position: Position) -> None:
        """Write down how far the sink is; raises `Retriable` where another writer has come."""
        ledger = self._confirmed()
        self._write(ledger, {**_state(ledger), "position": position})

    def confirm(self) -> None:
        """Raise `Retriable` where another writer has come."""
        self._confirmed()

    def position(self) -> Position | None:
        """Return the position of the last commit."""
        return _position(_state(self._ledger()))

    def set_position(self, position: Position | None) -> None:
        """Write down another position; marks of before say nothing any more, so that all behind it comes again."""
        ledger = self._ledger()
        state = _state(ledger)
        era = int(str(state["era"])) + 1
        self._write(ledger, {"writer": self._writer, "era": era, "position": position})

    def known(self, topic: str) -> Home | None:
        """Return the table of a topic as it is; None where there is none.

        Raises `ConfigError` where it is not ours.
        """
        name = table_name(topic, self._config.namespace)
        if topic not in self._homes:
            with table_faults(f"table {'.'.join(name)}"):
                home = self._load(name, topic)
            if home is None:
                return None
            self._homes[topic] = home
        return self._homes[topic]

    def home(self, topic: str, columns: pa.Schema, key: Sequence[str]) -> Home:
        """Return the table of a topic, made or altered so that it has `columns`.

        Raises `Fatal` where a column has a type that it cannot be given, `ConfigError` where the table is not ours.
        """
        name = table_name(topic, self._config.namespace)
        home = self.known(topic)
        with table_faults(f"table {'.'.join(name)}"):
            if home is None:
                home = self._homes[topic] = self._create(name, topic, columns, key)
            self._alter(home, columns, key)
        home.mark = replace(home.mark, key=tuple(key))
        return home

    def try_out(self) -> None:
        """Make a table and drop it."""
        name = (LEDGER, f"trial_{uuid4().hex}")
        catalog = self._connected()
        with table_faults(f"create table {'.'.join(name)}"):
            _make_namespace(catalog, LEDGER)
            catalog.create_table(name, _NOTE)
            catalog.drop_table(name)

    def close(self) -> None:
        """Disconnect."""
        self._homes.clear()
        if self._catalog is not None:
            self._catalog.close()
            self._catalog = None

    def _connected(self) -> Catalog:
        if self._catalog is None:
            if self._config.path is not None:
                self._config.path.mkdir(parents=True, exist_ok=True)
            with table_faults(f"catalogue {self._config.catalog_name}"):
                self._catalog = load_catalog(self._config.catalog_name, **self._config.properties())
        return self._catalog

    def _ledger(self) -> Table:
        catalog = self._connected()
        name = (LEDGER, re.sub(r"\W", "_", self._name))
        with table_faults(f"table {'.'.join(name)}"):
            try:
                return catalog.load_table(name)
            except NoSuchTableError:
                _make_namespace(catalog, LEDGER)
                state = json.dumps({"writer": "", "era": 0, "position": None})
                return catalog.create_table_if_not_exists(name, _NOTE, properties={**ROWS, STATE: state})

    def _confirmed(self) -> Table:
        ledger = self._ledger()
        if _state(ledger)["writer"] != self._writer:
            raise Retriable(
                f"commit to catalogue {self._config.catalog_name}: another writer has taken the tables over",
                hint="only one worker may run this sink: stop the other one, or give this one another name",
            )
        return ledger

    def _write(self, ledger: Table, state: Mapping[str, object]) -> None:
        with table_faults(f"commit to table {'.'.join(ledger.name())}"), ledger.transaction() as transaction:
            transaction.set_properties({STATE: json.dumps(state)})

    @property
    def _property(self) -> str:
        return f"tailrace.{self._name}"

    def _load(self, name: tuple[str, str], topic: str) -> Home | None:
        try:
            table = self._connected().load_table(name)
        except NoSuchTableError:
            return None
        told = table.properties.get(self._property)
        mark = Mark(**json.loads(told)) if told else None
        if mark is None or mark.topic != topic:
            whose = f"the topic {mark.topic}" if mark else "somebody else"
            raise ConfigError(
                f"table {'.'.join(name)} belongs to {whose}, and not to topic {topic} of this sink",
                hint="drop the table, or set namespace",
            )
        now = mark if mark.era == self._era else Mark(topic, self._era, mark.key)
        return Home(table, now, self._property, str(told))

    def _create(self, name: tuple[str, str], topic: str, columns: pa.Schema, key: Sequence[str]) -> Home:
        catalog, mark = self._connected(), Mark(topic, self._era, key)
        _make_namespace(catalog, name[0])
        properties = {**ROWS, self._property: mark.text()}
        try:
            with catalog.create_table_transaction(name, columns, properties=properties) as transaction:
                self._arrange(transaction)
        except (TableAlreadyExistsError, CommitFailedException) as error:
            raise Retriable(f"create table {'.'.join(name)}: another writer has made it meanwhile") from error
        log.info("table created", table=".".join(name), topic=topic)
        return Home(catalog.load_table(name), mark, self._property, mark.text())

    def _arrange(self, transaction: Transaction) -> None:
        if self._config.mode == "changelog" and self._config.partition_by != "none":
            by_hour = self._config.partition_by == "hour"
            with transaction.update_spec() as spec:
                spec.add_field("__timestamp", HourTransform() if by_hour else DayTransform(), self._config.partition_by)

    def _alter(self, home: Home, columns: pa.Schema, key: Sequence[str]) -> None:
        before = home.table.schema()
        identifiers = _identifiers(before, columns, key)
        try:
            with home.table.transaction() as transaction:
                with transaction.update_schema() as update:
                    if identifiers != before.identifier_field_names():
                        update.set_identifier_fields(*identifiers)
                    update.union_by_name(columns)
                _keep_scales(columns, scales(before), scales(transaction.table_metadata.schema()))
        except (ValidationError, ValueError) as error:
            raise Fatal(
                f"table {home.name} cannot have the columns of topic {home.mark.topic}: {error}",
                hint="Iceberg only widens int, float and decimal: rename or drop the table and restart the task, which"
                " makes it anew from this change on; a state then needs a new snapshot of it from the source",
            ) from error


def _identifiers(before: Schema, columns: pa.Schema, key: Sequence[str]) -> set[str]:
    """Return the key, where it can be the table's: Iceberg wants no floats there, and nothing that was optional."""
    for name in key:
        optional = name in before.column_names and before.find_field(name).optional
        if optional or pa.types.is_floating(columns.field(name).type):
            return set()
    return set(key)


def _keep_scales(columns: pa.Schema, before: Mapping[str, int], after: Mapping[str, int]) -> None:
    """Pyiceberg takes another scale for a wider type, and what is there would be read as other numbers."""
    for path, scale in decimals(columns):
        if after.get(path) != scale or before.get(path, scale) != scale:
            raise ValidationError(f"Cannot change scale of {path}: {before.get(path)} -> {scale}")


def table_name(topic: str, namespace: str) -> tuple[str, str]:
    """Return namespace and table of a topic: shop.public.orders is orders in shop_public."""
    before, _, last = topic.rpartition(".")
    return namespace or re.sub(r"\W", "_", before) or "default", re.sub(r"\W", "_", last)


@contextmanager
def table_faults(operation: str) -> Iterator[None]:
    """Turn errors of pyiceberg, of its catalogue and of its store into ours."""
    try:
        yield
    except TailraceError:
        raise
    except (CommitFailedException, CommitStateUnknownException) as error:
        raise Retriable(
            f"{operation}: somebody else has changed it meanwhile, or may have: {error}",
            hint="the task reads what is there and goes on by itself",
        ) from error
    except Exception as error:
        raise store_fault(error, operation, "") from error


_NOTE = pa.schema([pa.field("note", pa.string())])


def _state(ledger: Table) -> dict[str, object]:
    state: dict[str, object] = json.loads(ledger.properties[STATE])
    return state


def _position(state: Mapping[str, object]) -> Position | None:
    found = state["position"]
    return found if isinstance(found, dict) else None


def _make_namespace(catalog: Catalog, name: str) -> None:
    try:
        catalog.create_namespace(name)
    except NamespaceAlreadyExistsError:
        return
