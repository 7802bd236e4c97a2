"""Arrow's arrays out of the buffers that the core has filled."""

from __future__ import annotations

from typing import cast

import pyarrow as pa

from tailrace.core.plan import Taken


def array_of(type_: pa.DataType, taken: Taken) -> pa.Array:
    """Return the array of a column; nothing is copied."""
    length, nulls, validity, values, offsets, members = taken
    if isinstance(type_, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(type_, array_of(type_.storage_type, taken))
    if pa.types.is_null(type_):
        return pa.nulls(length)
    valid = None if validity is None else pa.py_buffer(validity)
    children: list[pa.Array] | None = None
    if pa.types.is_struct(type_):
        struct = cast("pa.StructType", type_)
        buffers = [valid]
        children = [array_of(struct.field(place).type, member) for place, member in enumerate(members)]
    elif pa.types.is_map(type_):
        buffers, children = [valid, pa.py_buffer(offsets)], [_entries(cast("pa.MapType", type_), members)]
    elif pa.types.is_list(type_):
        items = cast("pa.ListType[pa.DataType]", type_).value_type
        buffers, children = [valid, pa.py_buffer(offsets)], [array_of(items, members[0])]
    else:
        between = [pa.py_buffer(offsets)] if offsets else []
        buffers = [valid, *between, pa.py_buffer(values)]
    return pa.Array.from_buffers(type_, length, buffers, nulls, children=children)


def _entries(type_: pa.MapType, members: list[Taken]) -> pa.Array:
    keys, items = array_of(type_.key_type, members[0]), array_of(type_.item_type, members[1])
    return pa.StructArray.from_arrays([keys, items], fields=[type_.key_field, type_.item_field])
