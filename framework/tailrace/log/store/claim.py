"""Becoming the owner of a partition: no two tasks ever write to the same one, and none cuts what is not its own.

A task owns what `owner.json` says, for as long as it wants; while it runs its journal is locked, which guards all its
partitions at once and takes one descriptor, not one for each. The folder of a partition is locked only while an owner
is looked up or changed.
"""

from __future__ import annotations

from contextlib import closing

from tailrace.errors import Retriable
from tailrace.log.store import disk
from tailrace.log.store.committed import open_journal
from tailrace.log.store.end import MAX_OFFSET, START, End, later
from tailrace.log.store.journal import JournalState, TaskLock
from tailrace.log.store.layout import Layout, Place
from tailrace.log.store.ownership import Owner, read_owner, write_owner
from tailrace.log.store.recovery import settle, survivors
from tailrace.log.store.watermark import read_hint, write_hint


def claim(layout: Layout, place: Place, task: str, state: JournalState) -> End:
    """Make `task` the owner of an existing partition, cut it to its committed end, return that.

    `state` is that of the task's journal, whose lock the caller holds. Raises `Retriable` while another task, which
    is running, owns it; `Fatal` where committed data is missing.
    """
    with disk.locked_folder(place.folder):
        owner = read_owner(place.folder)
        if owner is None or owner.task == task:
            return _take(place, owner, task, state)
        journal = layout.journal(owner.task)
        if not journal.is_dir():
            return _take(place, owner, task, JournalState())
        lock = TaskLock(journal, owner.task)
        if not lock.try_acquire():
            raise Retriable(
                f"write to partition {place.name} as task {task}: "
                f"it belongs to task {owner.task}, which runs as process {lock.holder()}",
                hint="give one of the two another topic_prefix, or stop the other first to take its topics over",
            )
        try:
            return _take(place, owner, task, _durable_state(layout, owner.task))
        finally:
            lock.release()


def _durable_state(layout: Layout, task: str) -> JournalState:
    """Return the state of a stopped task, made durable as the task itself would at its next start.

    Its last process may have died before the sync of a commit. To keep one partition's part of that commit, while a
    power cut takes back the rest, would tear it apart.
    """
    with closing(open_journal(layout, task)) as journal:
        journal.start()
        return journal.state


def recover(layout: Layout, task: str, state: JournalState) -> dict[str, End]:
    """Settle every partition that `task` wrote to and still owns; return their ends by name.

    `state` must be durable: the watermarks are written by it.

    Raises `Fatal` where committed data is missing, unless the task was reset.
    """
    ends: dict[str, End] = {}
    for name, end in state.ends.items():
        topic, _, number = name.rpartition("-")
        place = layout.place(topic, int(number))
        if not place.folder.is_dir():
            if state.position is not None:
                settle(place.folder, end, None, lenient=False)
                continue
            disk.make_directory(place.folder)
        owner = read_owner(place.folder)
        if owner is None or owner.task == task:
            ends[name] = claim(layout, place, task, state)
    return ends


def _take(place: Place, owner: Owner | None, task: str, state: JournalState) -> End:
    """Settle the partition at the end of its present owner, whose journal says `state`, and hand it to `task`."""
    hint = read_hint(place.folder)
    known = state.ends.get(place.name)
    if owner is not None:
        end = later(owner.end, known)
    elif known is not None:
        end = known
    else:  # nobody's: just created, or its files were put here by hand
        end = survivors(place.folder, MAX_OFFSET) if hint is None else START
    # a task without a position was reset, or never committed: nothing is promised
    lenient = state.position is None or (owner is None and known is None)
    settled = settle(place.folder, end, hint, lenient=lenient)
    if owner is None or owner.task != task or settled != end:
        write_owner(place.folder, Owner(task, settled))
    elif known is None or known.next_offset <= owner.end.next_offset:
        # nothing was committed since: whoever wrote owner.json may have died before it was durable
        disk.sync_directory(place.folder)
    if hint != settled.next_offset:
        write_hint(place.folder, settled.next_offset)
    return settled
