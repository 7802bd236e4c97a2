"""The state of a table: what a file of changes makes of the rows that are there.

Only the last change of each key counts. Files of the table that have a row of one of these keys are written anew
without it (copy on write: pyiceberg writes no delete files), the new rows behind the rest, all in one commit.

    changes     the local file, flat: key → last row, or its end
    table       its files, by the bounds of the key: those without such a key stay as they are
    new files   the rows of those that have one, without it; then the last rows

A row that lacks values (`__unavailable`) takes each from the last row before it that has it: among the changes or, if
none has it, in the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, GreaterThanOrEqual, LessThanOrEqual, Reference
from pyiceberg.expressions.literals import literal
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask, Table, Transaction

from tailrace_archive.fault import local_faults
from tailrace_archive.iceberg.catalogue import Home, table_faults
from tailrace_archive.iceberg.files import bring
from tailrace_archive.iceberg.scan import rows_of
from tailrace_archive.iceberg.shape import file_schema, fitted
from tailrace_archive.parquet import DICTIONARY_BYTES

FILE_BYTES = 16 * 1024 * 1024
"""Of a file of the table, about: that much is written for one update."""

GROUP_BYTES = 4 * 1024 * 1024
"""Of rows in a row group, about: what is in memory of a file that is read or written, and not so little that rows which
are written anew again and again end up in groups of their own."""

_ROW = "__tailrace_row"
_OWN = ("__deleted", "__op", "__unavailable")


class Changes:
    """A local file of changes, in the order in which they came; `key` are the columns of the key."""

    def __init__(self, path: Path, schema: pa.Schema, key: Sequence[str]) -> None:
        self._file = pq.ParquetFile(path)
        self._schema, self._key = schema, list(key)
        told = numbered(bare(self._read(None, [*key, *_OWN])))
        truncates = pc.filter(told[_ROW], pc.equal(told["__op"], "t"))
        self.emptied = len(truncates) > 0
        self._first = pc.max(truncates).as_py() + 1 if self.emptied else 0
        told = told.slice(self._first)
        if not key:
            self.keys, self._last, self._partial = pa.table({}), told[_ROW], None
            return
        last = told.group_by(key).aggregate([(_ROW, "max")]).rename_columns([*key, _ROW])
        self.keys = last.select(key)
        rows = told.filter(pc.is_in(told[_ROW], value_set=last[_ROW].combine_chunks()))
        rows = rows.filter(pc.invert(rows["__deleted"]))
        lacking = rows["__unavailable"].is_valid()
        self._partial = rows.filter(lacking).select(key) if pc.any(lacking).as_py() else None
        self._last = rows.filter(pc.invert(lacking))[_ROW]

    @property
    def partial(self) -> pa.Table | None:
        """The keys of rows that lack values; None where no row does."""
        return self._partial

    def rows(self) -> Iterator[pa.Table]:
        """Return the last rows that lack nothing, piece by piece, in the table's columns."""
        wanted, before = self._last.combine_chunks(), 0
        for group in range(self._file.num_row_groups):
            piece = self._read(group, None)
            places = pa.array(range(before, before + piece.num_rows), pa.int64())
            before += piece.num_rows
            yield piece.filter(pc.is_in(places, value_set=wanted)).select(self._schema.names)

    def history(self, keys: pa.Table) -> pa.Table:
        """Return all changes of some keys since the last truncate."""
        found, before = [], 0
        for group in range(self._file.num_row_groups):
            piece = self._read(group, None)
            piece = piece.slice(max(self._first - before, 0))
            before += self._file.metadata.row_group(group).num_rows
            found.append(piece.filter(among(piece, keys)))
        return pa.concat_tables(found)

    def _read(self, group: int | None, columns: Sequence[str] | None) -> pa.Table:
        names = None if columns is None else [name for name in columns if name in self._file.schema_arrow.names]
        read = self._file.read(names) if group is None else self._file.read_row_group(group, names)
        own = [name for name in _OWN if name in read.column_names]
        kept = pa.schema([field for field in self._schema if columns is None or field.name in columns])
        table = fitted(read, kept)
        made = [*table.columns, *[read[name] for name in own]]
        return pa.table(made, schema=pa.schema([*kept, *[read.schema.field(name) for name in own]]))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def merge(home: Home, path: Path, told: Mapping[int, int], key: Sequence[str], *, compression: str) -> None:
    """Commit what the changes in a local file make of the table."""
    schema = file_schema(home.table.schema())
    let_go()
    changes = Changes(path, schema, key)
    writer = _Writer(home.table, schema, path.with_suffix(".merged"), compression)
    try:
        replaced = _rewrite(home.table, changes, writer)
        for rows in changes.rows():
            writer.write(rows)
        files = writer.finish()
    finally:
        changes.close()
        writer.close()
    home.commit(told, lambda transaction: _change(transaction, replaced, files))


def let_go() -> None:
    """Give back what the heap keeps of memory that is free: it was a fifth of what a merge of many rows had."""
    pa.default_memory_pool().release_unused()
    pa.system_memory_pool().release_unused()  # the heap's, whatever Arrow's is


def _change(transaction: Transaction, replaced: Sequence[DataFile], files: Sequence[DataFile]) -> None:
    if not replaced and not files:
        return
    snapshot = transaction.update_snapshot()
    with snapshot.overwrite() if replaced else snapshot.merge_append() as made:
        for file in replaced:
            made.delete_data_file(file)
        for file in files:
            made.append_data_file(file)


def _rewrite(table: Table, changes: Changes, writer: _Writer) -> list[DataFile]:
    """Write what stays of files that have a row of a changed key, and rows that lack values; return those files."""
    if changes.emptied:
        touched, replaced = [], [task.file for task in table.scan().plan_files()]
    else:
        touched = list(_touched(table, changes.keys))
        replaced = [task.file for task in touched]
    old = [writer.schema.empty_table()]
    for task in touched:
        for rows in rows_of(table, task, table.schema()):
            writer.write(rows.filter(pc.invert(among(rows, changes.keys))))
            if changes.partial is not None:
                old.append(rows.filter(among(rows, changes.partial)))
    if changes.partial is not None:
        history = changes.history(changes.partial)
        writer.write(completed(history, pa.concat_tables(old), changes.partial.column_names, writer.schema))
    return replaced


def completed(history: pa.Table, old: pa.Table, key: Sequence[str], schema: pa.Schema) -> pa.Table:
    """Return the last row of each key of `history`, with the values that it lacks from before, or from `old`."""
    count = history.num_rows
    groups = (
        numbered(bare(history.select(list(key)))).group_by(list(key), use_threads=False).aggregate([(_ROW, "list")])
    )
    groups = groups.rename_columns([*key, "rows"])
    found = numbered(bare(old.select(list(key)))).rename_columns([*key, "old"])
    joined = numbered(groups.drop_columns(["rows"])).join(found, list(key), join_type="left outer").sort_by(_ROW)
    lacking, deleted = history["__unavailable"].to_pylist(), history["__deleted"].to_pylist()
    last: list[int] = []
    sources: list[Mapping[str, int | None]] = []
    for rows, at in zip(groups["rows"].to_pylist(), joined["old"].to_pylist(), strict=True):
        sources.append(_sources(rows, None if at is None else count + at, lacking, deleted))
        last.append(rows[-1])
    columns = []
    for field in schema:
        places = pa.array([source.get(field.name, row) for source, row in zip(sources, last, strict=True)], pa.int64())
        both = pa.chunked_array([*history[field.name].chunks, *old[field.name].chunks], field.type)
        columns.append(both.take(places))
    return pa.Table.from_arrays(columns, schema=schema)


def _sources(
    rows: Sequence[int], old: int | None, lacking: Sequence[list[str] | None], deleted: Sequence[bool]
) -> Mapping[str, int | None]:
    """Return for each column that the last of `rows` lacks in which row its value is; None: in none."""
    known, sources = old, cast("dict[str, int | None]", {})
    for row in rows:
        if deleted[row]:
            known, sources = None, {}
            continue
        sources = {name: sources.get(name, known) for name in lacking[row] or ()}
        known = row
    return sources


def numbered(table: pa.Table) -> pa.Table:
    """Return the table with the numbers of its rows beside them."""
    return table.append_column(_ROW, pa.array(range(table.num_rows), pa.int64()))


def bare(table: pa.Table) -> pa.Table:
    """Return the table with what can be compared for its UUIDs: their octets."""
    columns = [
        pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
        if isinstance(column.type, pa.BaseExtensionType)
        else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def among(rows: pa.Table, keys: pa.Table) -> pa.Array:
    """Return for each row whether its key is among `keys`."""
    names = keys.column_names
    places = numbered(bare(rows.select(names))).join(keys, names, join_type="left semi")[_ROW]
    return pc.is_in(pa.array(range(rows.num_rows), pa.int64()), value_set=places.combine_chunks())


def _touched(table: Table, keys: pa.Table) -> Iterator[FileScanTask]:
    """Return the files that have a row of one of the keys."""
    if not keys.num_rows:
        return
    schema = table.schema().select(*keys.column_names)
    with table_faults(f"read table {'.'.join(table.name())}"):
        for task in table.scan(row_filter=_between(keys)).plan_files():
            if any(pc.any(among(rows, keys)).as_py() for rows in rows_of(table, task, schema)):
                yield task


def _between(keys: pa.Table) -> BooleanExpression:
    """Return what all keys fulfil, as far as the bounds of files can tell."""
    name = keys.column_names[0]
    column = keys[name]
    if not (pa.types.is_integer(column.type) or pa.types.is_string(column.type)):
        return AlwaysTrue()
    ends: dict[str, Any] = pc.min_max(column).as_py()
    return And(
        GreaterThanOrEqual(term=Reference(name), value=literal(ends["min"])),
        LessThanOrEqual(term=Reference(name), value=literal(ends["max"])),
    )


class _Writer:
    """Writes rows into files of the table, each of some size, by way of a local one."""

    def __init__(self, table: Table, schema: pa.Schema, path: Path, compression: str) -> None:
        self.schema = schema
        self._table, self._path, self._compression = table, path, compression
        self._sink: pa.NativeFile | None = None
        self._writer: pq.ParquetWriter | None = None
        self._files: list[DataFile] = []
        self._held: list[pa.Table] = []

    def write(self, rows: pa.Table) -> None:
        """Write rows."""
        if rows.num_rows:
            self._held.append(rows)
        if sum(each.nbytes for each in self._held) >= GROUP_BYTES:
            self._flush()
            if self._sink is not None and self._sink.tell() >= FILE_BYTES:
                self._end()

    def _flush(self) -> None:
        if not self._held:
            return
        rows = pa.concat_tables(self._held)
        self._held.clear()
        with local_faults(self._path):
            if self._writer is None:
                self._sink = pa.OSFile(str(self._path), "wb")
                self._writer = pq.ParquetWriter(
                    self._sink, self.schema, compression=self._compression, dictionary_pagesize_limit=DICTIONARY_BYTES
                )
            self._writer.write_table(rows, row_group_size=rows.num_rows)
        let_go()

    def finish(self) -> list[DataFile]:
        """Return the files, which are no part of the table yet."""
        self._flush()
        self._end()
        return self._files

    def _end(self) -> None:
        if self._writer is None:
            return
        self.close()
        self._files.append(bring(self._table, self._path, "state"))
        self._path.unlink()

    def close(self) -> None:
        """Let go of the local file."""
        if self._writer is not None and self._sink is not None:
            with local_faults(self._path):
                self._writer.close()
                self._sink.close()
        self._writer = self._sink = None
