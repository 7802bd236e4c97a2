"""Rows of a snapshot. See rows.pyx."""

from tailrace.core.change cimport ChangeFields
from tailrace.core.output cimport Output


cdef class RowQueue:
    cdef Output octets  # of the rows, one behind the other
    cdef Output ends  # where each row ends in `octets`: Py_ssize_t
    cdef Py_ssize_t start  # of the octets that have not been taken
    cdef Py_ssize_t first  # of the ends, likewise

    cdef int put(self, const unsigned char* octets, Py_ssize_t size) except -1
    cdef Py_ssize_t count(self) noexcept
    cdef void tidy(self) noexcept


cdef class Rows:
    cdef bytes octets  # of the rows, one behind the other
    cdef bytes ends  # where each row ends in `octets`: Py_ssize_t
    cdef readonly Py_ssize_t count

    cdef Py_ssize_t start_of(self, Py_ssize_t index) noexcept
    cdef Py_ssize_t end_of(self, Py_ssize_t index) noexcept


cdef class RowChanges:
    cdef type kind
    cdef Rows rows
    cdef ChangeFields pattern  # what all of the changes have in common
