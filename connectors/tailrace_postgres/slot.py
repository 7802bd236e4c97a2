"""The replication slot: the server's memory of where we are. Made when it is missing, checked when it is there.

Whatever would let changes go missing stops here: a slot that is lost, one that somebody else moved, one that is gone
although we have a position, another cluster behind the same address.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import sha256

import structlog

from tailrace.errors import Fatal, Retriable
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.connection import Connection, NoAnswer
from tailrace_postgres.lsn import format_lsn, parse_lsn

log = structlog.get_logger()

LONGEST_NAME = 63  # NAMEDATALEN - 1

RESET = "`tailrace offsets reset CONFIG --connector NAME` takes a new snapshot"

LONGEST_RELEASE, RELEASE_PAUSE = 60.0, 0.02  # seconds to wait in all, and between looks

TELL_AFTER = 5.0  # seconds that creating the slot may take before we say what it waits for, and between tellings


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot as `pg_replication_slots` has it. `confirmed` is where streaming from it would begin."""

    name: str
    plugin: str
    database: str
    temporary: bool
    active_pid: int | None
    confirmed: int
    wal_status: str
    invalidation: str
    retained_bytes: int | None


_FIND = """
SELECT plugin, database, temporary, active_pid, confirmed_flush_lsn, wal_status, {invalidation},
       pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint
  FROM pg_replication_slots WHERE slot_name = $1
"""

_RUNNING = """
SELECT pid::text FROM pg_stat_activity
 WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
 UNION ALL SELECT 'prepared ' || gid FROM pg_prepared_xacts WHERE database = current_database()
 LIMIT 20
"""


def slot_name(config: PostgresConfig, connector: str, database: str) -> str:
    """Return the name of the connector's slot: lower-case letters, digits and _ only, at most 63.

    It has the database's name in it, since slots belong to the whole server: connectors of one name, on two of its
    databases, must not get into each other's way.
    """
    if config.slot:
        return config.slot
    wanted = f"tailrace_{database}_{connector}"
    name = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in wanted.lower())
    if len(name) <= LONGEST_NAME:
        return name
    mark = sha256(wanted.encode()).hexdigest()[:8]
    return f"{name[: LONGEST_NAME - 9]}_{mark}"


def find_slot(connection: Connection, name: str) -> Slot | None:
    """Return the slot, None where there is none."""
    invalidation = "invalidation_reason" if connection.server_version >= 170000 else "NULL"
    rows = connection.query(_FIND.format(invalidation=invalidation), [name])
    if not rows:
        return None
    plugin, database, temporary, pid, confirmed, wal_status, reason, retained = rows[0]
    return Slot(
        name=name,
        plugin=plugin or "",
        database=database or "",
        temporary=temporary == "t",
        active_pid=int(pid) if pid else None,
        confirmed=parse_lsn(confirmed) if confirmed else 0,
        wal_status=wal_status or "",
        invalidation=reason or "",
        retained_bytes=int(retained) if retained else None,
    )


def check_slot(slot: Slot, database: str) -> None:
    """Raise `Fatal` where the slot cannot serve; `Retriable` while another process holds it."""
    if slot.plugin != "pgoutput" or slot.database != database or slot.temporary:
        kind = "temporary" if slot.temporary else f"for {slot.plugin or 'physical'} on database {slot.database or '-'}"
        raise Fatal(
            f"slot {slot.name} is {kind}, needed is one for pgoutput on database {database}",
            hint="set another `slot`, or drop this one if nothing uses it: "
            f"SELECT pg_drop_replication_slot('{slot.name}')",
        )
    if slot.wal_status == "lost" or slot.invalidation:
        reason = slot.invalidation or "the server removed the log that it needs"
        raise Fatal(
            f"slot {slot.name} is lost: {reason}; changes after {format_lsn(slot.confirmed)} may be gone",
            hint=f"drop it with SELECT pg_drop_replication_slot('{slot.name}'), then {RESET}; "
            "raise max_slot_wal_keep_size so that it does not happen again",
        )
    if slot.active_pid is not None:
        raise Retriable(
            f"slot {slot.name} is in use by the server's process {slot.active_pid}",
            hint="another worker streams from it, or the server has not noticed yet that the last one is gone",
            retry_after=0.3,
        )


def seize_slot(control: Connection, name: str) -> None:
    """End whoever streams from the slot: a worker that is cut off, and that the server has not missed yet."""
    slot = find_slot(control, name)
    if slot is None or slot.active_pid is None:
        return
    log.warning("taking the slot over", slot=name, from_pid=slot.active_pid)
    # Only whom we have just seen there: meanwhile it may have gone, and its number be another's.
    control.query(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
        "WHERE slot_name = $1 AND active_pid = $2::int",
        [name, str(slot.active_pid)],
    )
    wait_until_released(control, name, slot.active_pid)


def wait_until_released(control: Connection, name: str, pid: int) -> None:
    """Return once the server's process `pid`, whose connection we have closed, has let go of the slot.

    In the middle of a large transaction that takes it until the next write; raises `Retriable` where it takes too long.
    """
    deadline = time.monotonic() + LONGEST_RELEASE
    while (slot := find_slot(control, name)) is not None and slot.active_pid == pid:
        if time.monotonic() > deadline:
            raise Retriable(f"slot {name} is still in use by the server's process {pid}", retry_after=1.0)
        time.sleep(RELEASE_PAUSE)


def check_position(slot: Slot | None, name: str, confirm: int) -> None:
    """Raise `Fatal` where what follows our position is no longer to be had from the slot."""
    if slot is None:
        raise Fatal(
            f"slot {name} is gone, and changes after {format_lsn(confirm)} with it",
            hint=f"{RESET}; if the server was replaced by a standby, move its slot there first",
        )
    if slot.confirmed > confirm:
        raise Fatal(
            f"slot {name} is at {format_lsn(slot.confirmed)}, ahead of our position {format_lsn(confirm)}: "
            "somebody moved it or made it anew, and the changes between are not to be had from it",
            hint=f"{RESET}; or accept the gap with `tailrace offsets set`",
        )


def create_slot(replication: Connection, control: Connection, name: str, config: PostgresConfig) -> None:
    """Create the slot; waits for the transactions that are running, and says for which.

    Raises `Retriable` when `config.slot_wait` seconds were not enough.
    """
    failover = ", FAILOVER" if config.slot_failover and control.server_version >= 170000 else ""
    replication.send(
        f"CREATE_REPLICATION_SLOT {name} LOGICAL pgoutput (SNAPSHOT 'nothing'{failover})"
        if control.server_version >= 150000
        else f"CREATE_REPLICATION_SLOT {name} LOGICAL pgoutput NOEXPORT_SNAPSHOT"
    )
    begun = time.monotonic()
    while True:
        try:
            results = replication.results(min(time.monotonic() + TELL_AFTER, begun + config.slot_wait))
        except NoAnswer as error:
            running = [row[0] for row in control.query(_RUNNING)]
            waited = round(time.monotonic() - begun)
            if waited >= config.slot_wait:
                raise Retriable(
                    f"slot {name} could not be created within {waited} s: transactions are still running",
                    hint=f"end them, or wait longer (slot_wait); server processes: {', '.join(map(str, running))}",
                    patient=True,
                ) from error
            log.warning("slot waits for running transactions", slot=name, waited_seconds=waited, processes=running)
            continue
        log.info("slot created", slot=name, results=len(results))
        return


@dataclass(frozen=True, slots=True)
class Cluster:
    """Which database this is: `system` is the cluster's identifier, which copies of it share."""

    system: str
    timeline: int
    database: str

    def __str__(self) -> str:
        return f"{self.system}/{self.timeline}/{self.database}"


def identify(replication: Connection) -> Cluster:
    """Ask who is there."""
    system, timeline, _, database = replication.query("IDENTIFY_SYSTEM")[0]
    return Cluster(system or "", int(timeline or 0), database or "")


def check_cluster(replication: Connection, now: Cluster, then: str, confirm: int) -> None:
    """Raise `Fatal` where `then`, the cluster of our position, is not this one, or this one went another way since."""
    system, _, rest = then.partition("/")
    timeline, _, database = rest.partition("/")
    if (system, database) != (now.system, now.database):
        raise Fatal(
            f"the position is of another database: cluster {system} database {database}, "
            f"here is cluster {now.system} database {now.database}",
            hint=f"check the url; if the database was replaced on purpose, {RESET}",
        )
    if int(timeline) == now.timeline:
        return
    switch = _left_timeline(replication, now.timeline, int(timeline))
    if switch is None or switch < confirm:
        place = "an unknown place" if switch is None else format_lsn(switch)
        raise Fatal(
            f"the server left timeline {timeline} at {place}, before our position {format_lsn(confirm)}: "
            "changes that were captured never happened on this server",
            hint=RESET,
        )
    log.warning("the server was promoted", timeline=now.timeline, timeline_before=int(timeline))


def _left_timeline(replication: Connection, now: int, then: int) -> int | None:
    """Return where the history of timeline `now` left timeline `then`, None where it was never on it."""
    if now <= 1:
        return None
    history = replication.query(f"TIMELINE_HISTORY {now}")[0][1] or ""
    for line in history.splitlines():
        parent, *rest = line.split() or [""]
        if parent == str(then) and rest:
            return parse_lsn(rest[0])
    return None
