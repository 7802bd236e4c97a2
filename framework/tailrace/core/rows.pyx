"""Rows of a snapshot: many in one piece of memory, from the connection to the encoder, with no object for any of them.

`RowQueue` takes rows in as they come and gives them out as `Rows`; `RowChanges` are these as changes, which are made
when somebody looks at one. Who does not look is the encoder (`envelope.pyx`), as long as it can do a row by itself.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memmove

from tailrace.core.change cimport ChangeFields, new_change
from tailrace.core.output cimport Output


cdef class RowQueue:
    """Rows that wait, first in, first out."""

    def __cinit__(self):
        self.octets = Output()
        self.ends = Output()

    def __len__(self):
        return self.count()

    @property
    def size(self):
        """How many octets the rows have that wait."""
        return self.octets.size - self.start

    def extend(self, rows not None):
        """Take rows in."""
        cdef bytes row
        for row in rows:
            self.put(row, len(row))

    def clear(self):
        """Forget all rows."""
        self.octets.clear()
        self.ends.clear()
        self.start = self.first = 0

    def take(self, Py_ssize_t most, Py_ssize_t most_bytes):
        """Give out rows from the front: at most `most`, and none after `most_bytes` octets."""
        cdef Py_ssize_t* ends = <Py_ssize_t*>self.ends.data + self.first
        cdef Py_ssize_t left = self.count(), count = 0, size = 0
        while count < left and count < most and size < most_bytes:
            size = ends[count] - self.start
            count += 1
        cdef Rows rows = Rows.__new__(Rows)
        rows.count = count
        rows.octets = PyBytes_FromStringAndSize(<const char*>self.octets.data + self.start, size)
        rows.ends = PyBytes_FromStringAndSize(NULL, count * <Py_ssize_t>sizeof(Py_ssize_t))
        cdef Py_ssize_t* given = <Py_ssize_t*><char*>rows.ends
        cdef Py_ssize_t index
        for index in range(count):
            given[index] = ends[index] - self.start
        self.start += size
        self.first += count
        self.tidy()
        return rows

    cdef int put(self, const unsigned char* octets, Py_ssize_t size) except -1:
        """Take a row in."""
        self.octets.put(octets, size)
        return self.ends.put(<const unsigned char*>&self.octets.size, sizeof(Py_ssize_t))

    cdef Py_ssize_t count(self) noexcept:
        return self.ends.size // <Py_ssize_t>sizeof(Py_ssize_t) - self.first

    cdef void tidy(self) noexcept:
        """Move what is left to the front, once that is the smaller part: each octet is moved once or not at all."""
        cdef Py_ssize_t left = self.count(), size = self.octets.size - self.start, index
        cdef Py_ssize_t* ends = <Py_ssize_t*>self.ends.data
        if left == 0:
            self.octets.size = self.ends.size = 0
        elif self.start < size:
            return
        else:
            if size:  # rows without octets may have none to be moved, nor memory
                memmove(self.octets.data, self.octets.data + self.start, <size_t>size)
            for index in range(left):
                ends[index] = ends[self.first + index] - self.start
            self.octets.size, self.ends.size = size, left * <Py_ssize_t>sizeof(Py_ssize_t)
        self.start = self.first = 0


cdef class Rows:
    """Rows that were taken together."""

    def __len__(self):
        return self.count

    def __getitem__(self, Py_ssize_t index):
        """Return the octets of a row; negative indexes count from the end."""
        if index < 0:
            index += self.count
        if not 0 <= index < self.count:
            raise IndexError(index)
        return self.octets[self.start_of(index) : self.end_of(index)]

    @property
    def size(self):
        """How many octets the rows have."""
        return len(self.octets)

    cdef Py_ssize_t start_of(self, Py_ssize_t index) noexcept:
        return 0 if index == 0 else self.end_of(index - 1)

    cdef Py_ssize_t end_of(self, Py_ssize_t index) noexcept:
        return (<const Py_ssize_t*><const char*>self.ends)[index]


cdef class RowChanges:
    """Each of `rows` as a row of a snapshot; a sequence of changes of the class `kind`, each made when it is asked for."""

    def __init__(self, type kind not None, table, Rows rows not None, origin, at):
        self.kind = kind
        self.rows = rows
        self.pattern = new_change(kind, table, "r", None, None, origin, at)

    def __len__(self):
        return self.rows.count

    def __getitem__(self, index):
        cdef ChangeFields pattern = self.pattern
        return new_change(self.kind, pattern.table, "r", None, self.rows[index], pattern.origin, pattern.at)
