"""Records as they rest in the log, side by side: whether they are alike, and where they lie, as columns.

A record is a tuple as `tailrace.event.StoredRecord` has it; only what is looked at is looked at.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_Check, PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.string cimport memcmp

from tailrace.core.output cimport Output

cdef enum:
    TOPIC, PARTITION, OFFSET, TIMESTAMP, KEY, VALUE, HEADERS, MEMBERS


def alike(list records not None, bytes mark not None, long long since, long long before):
    """Whether all are of the first one's topic and partition, of a time from `since` to before `before`, and have a
    value that begins with `mark`."""
    cdef Py_ssize_t place, size = len(mark)
    cdef PyObject* value
    cdef object topic, partition
    if not records:
        return True
    topic, partition = <object>member(records, 0, TOPIC), <object>member(records, 0, PARTITION)
    for place in range(len(records)):
        value = member(records, place, VALUE)
        if not PyBytes_CheckExact(<object>value) or PyBytes_GET_SIZE(<object>value) < size:
            return False
        if memcmp(PyBytes_AS_STRING(<object>value), <const char*>mark, <size_t>size):
            return False
        if not since <= number(records, place, TIMESTAMP) < before:
            return False
        if not same(member(records, place, TOPIC), topic) or not same(member(records, place, PARTITION), partition):
            return False
    return True


def span(list records not None, Py_ssize_t first, Py_ssize_t end):
    """Return the least and the greatest time of the records from `first` to before `end`; raises ValueError for none."""
    cdef Py_ssize_t place
    cdef long long time, least, most
    if not 0 <= first < end <= len(records):
        raise ValueError(f"records {first} to {end} of {len(records)}")
    least = most = number(records, first, TIMESTAMP)
    for place in range(first + 1, end):
        time = number(records, place, TIMESTAMP)
        least, most = min(least, time), max(most, time)
    return least, most


@cython.final
cdef class Places:
    """Offsets and times, as columns of numbers of 64 bits."""

    cdef Output offsets, times

    def __cinit__(self):
        self.offsets, self.times = Output(), Output()

    def __len__(self):
        return self.offsets.size // 8

    def extend(self, list records not None, Py_ssize_t first, Py_ssize_t end):
        """Append the records from `first` to before `end`; return those that have headers, and their rows: [(row, them)]."""
        cdef Py_ssize_t place, row = self.offsets.size // 8
        cdef long long offset, time
        cdef object headers
        if not 0 <= first <= end <= len(records):
            raise ValueError(f"records {first} to {end} of {len(records)}")
        told = []
        for place in range(first, end):
            offset, time = number(records, place, OFFSET), number(records, place, TIMESTAMP)
            headers = <object>member(records, place, HEADERS)
            if headers:
                told.append((row + place - first, headers))
            self.offsets.put(<const unsigned char*>&offset, 8)
            self.times.put(<const unsigned char*>&time, 8)
        return told

    def take(self):
        """Return the octets of both columns, and begin anew."""
        taken = self.offsets.octets(0, self.offsets.size), self.times.octets(0, self.times.size)
        self.offsets.clear()
        self.times.clear()
        return taken


cdef PyObject* member(list records, Py_ssize_t place, Py_ssize_t index) except NULL:
    """Return a member of a record, borrowed."""
    cdef object record = records[place]
    if not PyTuple_Check(record) or PyTuple_GET_SIZE(record) != MEMBERS:
        raise TypeError(f"no stored record: {type(record).__name__}")
    return PyTuple_GET_ITEM(record, index)


cdef long long number(list records, Py_ssize_t place, Py_ssize_t index) except? -1:
    return <object>member(records, place, index)


cdef bint same(PyObject* one, object other) except -1:
    return one == <PyObject*>other or <object>one == other
