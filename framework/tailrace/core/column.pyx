"""One column under construction: buffers as Arrow has them, but for a byte in place of each bit.

A column that lies in a struct may lag behind it: a struct that is null costs nothing, and what its columns miss is
filled in later. Of no use from Python. Source: Arrow Columnar Format 1.4.
"""

cimport cython
from libc.stdint cimport int32_t
from libc.string cimport memset

from tailrace.core.output cimport Output

KINDS = {
    "null": NOTHING,
    "boolean": BOOLEAN,
    "integer": INTEGER,
    "real": REAL,
    "bytes": OCTETS,
    "text": TEXT,
    "decimal": DECIMAL,
    "variable_decimal": VARIABLE_DECIMAL,
    "uuid": UUID,
    "instant": INSTANT,
    "record": RECORD,
    "list": LIST,
    "map": MAP,
    "change": CHANGE,
}


@cython.final
cdef class Column:
    def __cinit__(self, plan not None):
        self.kind = KINDS[plan.kind]
        self.null_branch = plan.null_branch
        self.nullable = plan.nullable or plan.null_branch >= 0
        self.skipped = plan.skipped
        self.width = plan.width
        self.parameter = plan.parameter
        self.convert = plan.convert
        self.members = tuple([Column(member) for member in plan.members])
        self.validity, self.values, self.offsets = Output(), Output(), Output()
        if len(self.members) < {LIST: 1, MAP: 2, CHANGE: 2}.get(self.kind, 0) or not 0 <= self.width <= 16:
            raise ValueError(plan.kind)
        if self.kind == CHANGE and not 0 < self.parameter < len(self.members):
            raise ValueError(plan.kind)

    cdef bint measured(self) noexcept:
        """Whether values have no width of their own, and stand between offsets."""
        return self.kind in (OCTETS, TEXT, VARIABLE_DECIMAL, LIST, MAP)


cdef int put_zeros(Output out, Py_ssize_t count) except -1:
    if count:  # as in `Output.put`
        out.reserve(count)
        memset(out.data + out.size, 0, <size_t>count)
        out.size += count
    return 0


cdef int pad(Column column, Py_ssize_t count, bint told) except -1:
    """Append `count` values that are nulls (`told`) or lie in structs that are, and are never looked at."""
    cdef Py_ssize_t index, last
    if column.nullable:
        put_zeros(column.validity, count)
        column.nulls += count
    elif told and column.kind != NOTHING:
        raise ValueError("a null where there is none")
    if column.measured():
        last = 0
        if column.kind in (LIST, MAP):
            last = (<Column>column.members[len(column.members) - 1]).length
        else:
            last = column.values.size
        for index in range(count):
            put_offset(column, last)
    elif column.width:
        put_zeros(column.values, count * column.width)
    column.length += count
    return 0


cdef int cut(Column column, Py_ssize_t length) except -1:
    """Forget what stands beyond `length` values, as far as there is anything."""
    cdef Column member
    cdef Py_ssize_t inner = 0, place
    if column.nullable and column.validity.size > length:
        for place in range(length, column.validity.size):
            column.nulls -= column.validity.data[place] == 0
        column.validity.size = length
    if column.measured():
        column.offsets.size = min(column.offsets.size, 4 * length)
        if column.offsets.size:
            inner = (<int32_t*>(column.offsets.data + column.offsets.size - 4))[0]
        if column.kind not in (LIST, MAP):
            column.values.size = inner
    elif column.width:
        column.values.size = min(column.values.size, length * column.width)
    column.length = min(column.length, length)
    for member in column.members:
        cut(member, inner if column.kind in (LIST, MAP) else length)
    return 0


cdef tuple take_column(Column column, Py_ssize_t length):
    """Return what has been appended, filled up to `length`, and begin anew."""
    cdef Column member
    cdef Py_ssize_t inner
    if column.length < length and not column.skipped:
        pad(column, length - column.length, False)
    members = []
    for member in column.members:
        inner = member.length if column.kind in (LIST, MAP) else length
        members.append(take_column(member, inner))
    validity = packed(column.validity) if column.nullable and column.nulls else None
    values = packed(column.values) if column.kind == BOOLEAN else column.values.octets(0, column.values.size)
    offsets = bytes(4) + column.offsets.octets(0, column.offsets.size) if column.measured() else b""
    taken = (column.length, column.nulls, validity, values, offsets, members)
    column.validity.clear()
    column.values.clear()
    column.offsets.clear()
    column.length = column.nulls = 0
    return taken


cdef bytes packed(Output octets):
    """Return a bit for each octet, the first one lowest."""
    cdef Output bits = Output()
    cdef Py_ssize_t place
    put_zeros(bits, (octets.size + 7) // 8)
    for place in range(octets.size):
        bits.data[place >> 3] |= <unsigned char>(octets.data[place] << (place & 7))
    return bits.octets(0, bits.size)
