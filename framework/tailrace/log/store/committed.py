"""What is committed, as far as others than the writer itself can tell: by the watermark, or by the owner's journal.

A commit whose batches were synced beside its record (`Journal.append` with `data`) happened if all of it reached the
disk, the record and the batches. Only the last one of a journal can be in doubt, for the next one is begun when both
syncs are over; and it is not once a watermark shows it, for those come later still. So it is looked at when a
journal is read, by whoever reads it, and before anything is built on it.
"""

from __future__ import annotations

from tailrace.log.store.journal import Journal, JournalState, read_state, sync_journal
from tailrace.log.store.layout import Layout, Place
from tailrace.log.store.ownership import read_owner
from tailrace.log.store.segment import sync_segment
from tailrace.log.store.stretch import is_whole, write_again
from tailrace.log.store.watermark import read_hint


def last_state(layout: Layout, task: str) -> JournalState | None:
    """Return the state as of the last commit of `task` that happened, None where there is no journal yet.

    What it says can still be lost to a power cut. Needs no lock; raises `Fatal` as `read_state` does.
    """
    state = read_state(layout.journal(task))
    if state is None or not _in_doubt(layout, state):
        return state
    stretches = state.data.items()
    happened = all(is_whole(layout.folder(name), stretch, state.ends[name]) for name, stretch in stretches)
    return state if happened else state.before()


def _in_doubt(layout: Layout, state: JournalState) -> bool:
    """Return whether the last commit has batches that nobody was shown."""
    hints = [(read_hint(layout.folder(name)), state.ends[name].next_offset) for name in state.data]
    return bool(hints) and not any(hint is not None and hint >= offset for hint, offset in hints)


def open_journal(layout: Layout, task: str) -> Journal:
    """Return the journal of `task` for writing, at its last commit that happened; the caller holds its lock.

    The batches of that commit are durable when this returns; its record is after `Journal.start`.
    """
    state = last_state(layout, task) or JournalState()
    if _in_doubt(layout, state):
        for name, stretch in state.data.items():
            write_again(layout.folder(name), stretch, state.ends[name])
    return Journal(layout.journal(task), task, state)


def read_watermark(layout: Layout, place: Place) -> int:
    """Return the watermark of a partition: the hint, or what the owner's journal says."""
    hint = read_hint(place.folder)
    return computed_watermark(layout, place) if hint is None else hint


def computed_watermark(layout: Layout, place: Place) -> int:
    """Return the watermark from the owner's journal."""
    owner = read_owner(place.folder)
    if owner is None:
        return 0
    state = last_state(layout, owner.task)
    if state is None:
        return owner.end.next_offset
    # what is not on the disk yet might still be lost, and must not be seen before
    sync_journal(layout.journal(owner.task))
    for name in state.data:
        sync_segment(layout.folder(name), state.ends[name].segment)
    end = state.ends.get(place.name)
    return max(owner.end.next_offset, end.next_offset if end else 0)
