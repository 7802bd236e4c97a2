"""The publication: which tables the server sends. Made when it is missing, taken as it is when it is there."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from tailrace.errors import Fatal
from tailrace_postgres.catalog import chosen
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.connection import Connection

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication as the server has it."""

    name: str
    all_tables: bool
    via_root: bool
    actions: frozenset[str]
    ours: bool
    """Whether we made it, and so may add tables to it."""


_FIND = """
SELECT puballtables, pubviaroot, obj_description(oid, 'pg_publication') = '{mark}',
       pubinsert, pubupdate, pubdelete, pubtruncate
  FROM pg_publication WHERE pubname = $1
"""

MARK = "made by tailrace"
"""The comment on publications of ours."""

_CANDIDATES = """
SELECT n.nspname, c.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND n.nspname NOT LIKE 'pg\\_%'
   AND n.nspname <> 'information_schema' AND {level}
 ORDER BY 1, 2
"""

_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"


def publication_name(config: PostgresConfig, connector: str) -> str:
    """Return the name of the connector's publication."""
    return config.publication or f"tailrace_{connector}"[:63]


def find_publication(connection: Connection, name: str) -> Publication | None:
    """Return the publication, None where there is none."""
    rows = connection.query(_FIND.format(mark=MARK), [name])
    if not rows:
        return None
    all_tables, via_root, ours, *published = (text == "t" for text in rows[0])
    actions = zip(("insert", "update", "delete", "truncate"), published, strict=True)
    return Publication(name, all_tables, via_root, frozenset(action for action, is_sent in actions if is_sent), ours)


def ensure_publication(connection: Connection, config: PostgresConfig, connector: str) -> tuple[Publication, bool]:
    """Return the publication, and whether it was made now; raises `Fatal` where it is missing and cannot be made."""
    name = publication_name(config, connector)
    found = find_publication(connection, name)
    if found is not None:
        return found, False
    if not config.create_publication:
        raise Fatal(
            f"publication {name} is missing",
            hint=f"create it: {statement(connection, config, name, candidates(connection, config))}; "
            "or set create_publication: true",
        )
    _create(connection, config, name)
    made = find_publication(connection, name)
    if made is None:
        raise Fatal(f"publication {name} is gone again", hint="somebody drops it; let only one connector use it")
    return made, True


def unpublished(connection: Connection, config: PostgresConfig, published: set[str]) -> list[str]:
    """Return the tables that the configuration chooses and the publication does not send."""
    return [table for table in (f"{s}.{t}" for s, t in candidates(connection, config)) if table not in published]


def extend_publication(connection: Connection, config: PostgresConfig, name: str, published: set[str]) -> bool:
    """Add the tables that the configuration chooses now to a publication of ours; return whether there were any."""
    quoted = connection.identifier
    missing = [(s, t) for s, t in candidates(connection, config) if f"{s}.{t}" not in published]
    if not missing:
        return False
    tables = ", ".join(f"{quoted(schema)}.{quoted(table)}" for schema, table in missing)
    sql = f"ALTER PUBLICATION {quoted(name)} ADD TABLE {tables}"
    try:
        connection.query(sql)
    except Fatal as error:
        log.warning("cannot add tables to the publication", publication=name, error=error.message, mend=sql)
        return False
    log.info("tables added to the publication", publication=name, tables=[f"{s}.{t}" for s, t in missing])
    return True


def _create(connection: Connection, config: PostgresConfig, name: str) -> None:
    matching = candidates(connection, config)
    superuser = connection.query(_SUPERUSER)[0][0] == "t"
    sql = statement(connection, config, name, matching, superuser=superuser)
    try:
        connection.query(sql)
    except Fatal as error:
        raise Fatal(
            f"cannot create publication {name}: {error.message}",
            hint=f"let the owner of the tables run: {sql}",
        ) from error
    connection.query(f"COMMENT ON PUBLICATION {connection.identifier(name)} IS '{MARK}'")
    log.info("publication created", publication=name, tables=len(matching))


def statement(
    connection: Connection,
    config: PostgresConfig,
    name: str,
    matching: list[tuple[str, str]],
    *,
    superuser: bool = False,
) -> str:
    """Return the SQL that creates the publication for what the configuration chooses.

    For all tables, or all of a schema, where the globs say just that and the server lets us: tables that are created
    later are then captured from their first row on. Else for the tables that there are.
    """
    tables = ", ".join(f"{connection.identifier(s)}.{connection.identifier(t)}" for s, t in matching)
    what = f"FOR TABLE {tables}" if tables else ""
    schemas = [glob.removesuffix(".*") for glob in config.tables]
    if superuser and not config.exclude:
        if {"*", "*.*"} & set(config.tables):
            what = "FOR ALL TABLES"
        elif connection.server_version >= 150000 and not any(set("*?[.") & set(schema) for schema in schemas):
            existing = [schema for schema in schemas if any(schema == s for s, _ in matching)]
            if len(existing) == len(schemas) and all(glob.endswith(".*") for glob in config.tables):
                what = f"FOR TABLES IN SCHEMA {', '.join(map(connection.identifier, schemas))}"
    via_root = "true" if config.partitions == "root" else "false"
    return f"CREATE PUBLICATION {connection.identifier(name)} {what} WITH (publish_via_partition_root = {via_root})"


def candidates(connection: Connection, config: PostgresConfig) -> list[tuple[str, str]]:
    """Return schema and name of the tables that the configuration chooses, published or not."""
    level = "NOT c.relispartition" if config.partitions == "root" else "c.relkind = 'r'"
    rows = connection.query(_CANDIDATES.format(level=level))
    names = [(schema or "", table or "") for schema, table in rows]
    return [(s, t) for s, t in names if chosen(f"{s}.{t}", config.tables, config.exclude)]
