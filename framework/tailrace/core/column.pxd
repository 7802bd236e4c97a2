"""One column under construction: its buffers. See column.pyx."""

cimport cython

from tailrace.core.output cimport Output

cdef enum Kind:
    NOTHING
    BOOLEAN
    INTEGER
    REAL
    OCTETS
    TEXT
    DECIMAL
    VARIABLE_DECIMAL
    UUID
    INSTANT
    RECORD
    LIST
    MAP
    CHANGE

cdef enum:
    MOST_OCTETS = 0x7FFFFFFF  # of all values of a column between two takes: offsets are numbers of 32 bits


@cython.final
cdef class Column:
    """One column: what has been appended to it, and how the next value is read. See `ColumnPlan`."""

    cdef Kind kind
    cdef int null_branch  # -1: the value is no union
    cdef bint nullable, skipped
    cdef Py_ssize_t width
    cdef long long parameter
    cdef object convert
    cdef tuple members
    cdef Py_ssize_t length, nulls
    cdef Output validity, values, offsets

    cdef bint measured(self) noexcept


cdef int pad(Column column, Py_ssize_t count, bint told) except -1
cdef int cut(Column column, Py_ssize_t length) except -1
cdef tuple take_column(Column column, Py_ssize_t length)


cdef inline int put_offset(Column column, Py_ssize_t offset) except -1:
    return column.offsets.put_little(offset, 4)


cdef inline int put_sized(
    Column column, const unsigned char* start, Py_ssize_t size, const unsigned char* end
) except -1:
    """Append octets of a buffer that goes on up to `end`."""
    if size > MOST_OCTETS - column.values.size:
        raise ValueError("too much for one column")
    column.values.put_near(start, size, end)
    return put_offset(column, column.values.size)
