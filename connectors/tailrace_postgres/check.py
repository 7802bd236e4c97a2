"""`tailrace check`: everything that a capture needs of the server, looked at without changing anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tailrace.codec.projection import Projection
from tailrace.errors import Fatal, TailraceError
from tailrace.source import Finding
from tailrace_postgres.catalog import Catalog, CatalogTable
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.connection import Connection
from tailrace_postgres.publication import (
    candidates,
    find_publication,
    publication_name,
    statement,
)
from tailrace_postgres.slot import find_slot, slot_name
from tailrace_postgres.table import Tables
from tailrace_postgres.types import TYPES_QUERY, TypeMapper, load_types

_SERVER = """
SELECT current_setting('server_version'), current_setting('wal_level'), pg_is_in_recovery(),
       current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots),
       current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_replication),
       (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user),
       has_database_privilege(current_database(), 'CREATE'), current_user, current_database()
"""


def findings(connector: str, config: PostgresConfig) -> list[Finding]:
    """Return what is right and what is not, in the order in which to mend it."""
    try:
        control = Connection.open(config, connector, "control")
    except TailraceError as error:
        return [Finding(ok=False, what=error.message, mend=error.hint)]
    try:
        return list(_all(control, connector, config))
    except TailraceError as error:
        return [Finding(ok=False, what=error.message, mend=error.hint)]
    finally:
        control.close()


def _all(control: Connection, connector: str, config: PostgresConfig) -> Iterator[Finding]:
    version, wal_level, recovering, slots, senders, replicates, creates, user, database = (
        text or "" for text in control.query(_SERVER)[0]
    )
    yield Finding(
        ok=control.server_version >= 140000, what=f"server version {version}", mend="use Postgres 14 or later"
    )  # fmt: skip
    yield Finding(
        ok=wal_level == "logical", what=f"wal_level is {wal_level}",
        mend="ALTER SYSTEM SET wal_level = logical, then restart the server",
    )  # fmt: skip
    yield Finding(
        ok=recovering == "f", what=f"the server is {'the primary' if recovering == 'f' else 'a standby'}",
        mend="let the url lead to the primary",
    )  # fmt: skip
    yield Finding(
        ok=replicates == "t", what=f"user {user} may replicate: {'yes' if replicates == 't' else 'no'}",
        mend=f"ALTER ROLE {control.identifier(user)} REPLICATION",
    )  # fmt: skip
    name = slot_name(config, connector, database)
    slot = find_slot(control, name)
    if slot is None:
        yield Finding(
            ok=int(slots) > 0 and config.create_slot,
            what=f"slot {name} is to be created, {slots} are free",
            mend="raise max_replication_slots, or drop a slot that nothing uses"
            if config.create_slot
            else f"SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')",
        )
        yield Finding(ok=int(senders) > 0, what=f"{senders} WAL senders are free", mend="raise max_wal_senders")
    else:
        lost = slot.wal_status == "lost" or slot.invalidation
        yield Finding(
            ok=not lost and slot.plugin == "pgoutput" and slot.database == database,
            what=f"slot {name}: {slot.plugin or 'physical'} on {slot.database or '-'}, wal_status {slot.wal_status}, "
            f"{slot.retained_bytes or 0} bytes of log retained",
            mend=f"SELECT pg_drop_replication_slot('{name}'), then `tailrace offsets reset`, or set another slot",
        )
    yield from _publication(control, connector, config, may_create=creates == "t")


def _publication(
    control: Connection, connector: str, config: PostgresConfig, *, may_create: bool
) -> Iterator[Finding]:  # fmt: skip
    name = publication_name(config, connector)
    found = find_publication(control, name)
    matching = candidates(control, config)
    if found is None:
        sql = statement(control, config, name, matching)
        yield Finding(
            ok=may_create and config.create_publication and bool(matching),
            what=f"publication {name} is to be created for {len(matching)} tables",
            mend=f"let the owner of the tables run: {sql}" if matching else "no table matches `tables`: mend the globs",
        )
        catalog = Catalog(control, name, config)
        yield from _columns(control, config, catalog, _facts(control, catalog, matching))
        return
    missing = sorted({"insert", "update", "delete"} - found.actions)
    yield Finding(
        ok=not missing, what=f"publication {name} sends {', '.join(sorted(found.actions))}",
        mend=f"ALTER PUBLICATION {control.identifier(name)} SET (publish = 'insert, update, delete, truncate')",
    )  # fmt: skip
    catalog = Catalog(control, name, config)
    tables = catalog.tables()
    yield Finding(ok=bool(tables), what=f"{len(tables)} tables are captured", mend="mend `tables`, or the publication")
    published = {table.id for table in tables}
    for schema, table in matching:
        if f"{schema}.{table}" not in published:
            full = f"{control.identifier(schema)}.{control.identifier(table)}"
            yield Finding(
                ok=False, what=f"table {schema}.{table} is chosen but not in publication {name}",
                mend=f"ALTER PUBLICATION {control.identifier(name)} ADD TABLE {full}, or exclude it",
            )  # fmt: skip
    mapper = TypeMapper(load_types(control.query(TYPES_QUERY)), config)
    for captured in tables:
        yield _table(control, captured, mapper)
    yield from _columns(control, config, catalog, tables)


def _columns(
    control: Connection, config: PostgresConfig, catalog: Catalog, tables: Sequence[CatalogTable]
) -> Iterator[Finding]:
    """Look at what `columns` says; nothing to tell of where it says nothing."""
    projection = Projection(config.columns)
    if projection.is_whole:
        return
    made = Tables(control, catalog, config, "", names={})
    for pattern in made.unmatched(tables):
        yield Finding(ok=False, what=f"{pattern} matches no column of a captured table", mend="mend or drop the glob")
    for captured in tables:
        try:
            told = made.of_catalog(captured)
        except Fatal as error:
            yield Finding(ok=False, what=error.message, mend=error.hint)
            continue
        out = {column.name for column in captured.columns} - {column.name for column in told.columns}
        disguised = [column.name for column in told.columns if column.disguised]
        if out or disguised:
            what = f"columns of {captured.id}: left out: {_list(sorted(out))}; disguised: {_list(disguised)}"
            yield Finding(ok=True, what=what)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _facts(control: Connection, catalog: Catalog, tables: Sequence[tuple[str, str]]) -> list[CatalogTable]:
    """Return what the catalogue has of tables that are not published yet."""
    names = (f"{control.identifier(schema)}.{control.identifier(table)}" for schema, table in tables)
    oids = (control.query("SELECT $1::regclass::oid", [name])[0][0] or "0" for name in names)
    return [facts for oid in oids if (facts := catalog.facts(int(oid))) is not None]


def _table(control: Connection, table: CatalogTable, mapper: TypeMapper) -> Finding:
    full = f"{control.identifier(table.schema)}.{control.identifier(table.name)}"
    readable = control.query("SELECT has_table_privilege($1::oid, 'SELECT')", [str(table.oid)])[0][0] == "t"
    key = f"key ({', '.join(table.key())})" if table.key() else "no key"
    texts = [column.name for column in table.columns if mapper.is_fallback(column.type_oid)]
    what = f"table {table.id}: {key}, replica identity {table.identity}"
    if texts:
        what += f", sent as text: {', '.join(texts)}"
    if not readable:
        return Finding(ok=False, what=f"{what}, not readable", mend=f"GRANT SELECT ON {full} TO {_user(control)}")
    return Finding(
        ok=table.tells_old_keys,
        what=what if table.tells_old_keys else f"{what}: the server refuses updates and deletes",
        mend=f"ALTER TABLE {full} ADD PRIMARY KEY (…), or ALTER TABLE {full} REPLICA IDENTITY FULL",
    )


def _user(control: Connection) -> str:
    return control.identifier(control.query("SELECT current_user")[0][0] or "")
