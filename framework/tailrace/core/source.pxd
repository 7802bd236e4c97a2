"""The source block of Debezium's envelope. See source.pyx."""

from tailrace.core.change cimport ChangeFields
from tailrace.core.output cimport Output


cdef enum:
    MOST_MARKS = 8


cdef struct Mark:
    int field  # which of the fields stands here
    Py_ssize_t end  # of the fixed bytes before it
    int shift  # which bits of the number, where it stands by itself
    long long mask


cdef class SourcePlan:
    cdef int count
    cdef list fields
    cdef object origin  # of whose changes `fixed` and `marks` are
    cdef bint is_steady
    cdef Output fixed
    cdef Mark[MOST_MARKS] marks
    cdef int mark_count
    cdef bint is_told  # whether `told` has the block for `told_at`
    cdef long long told_at
    cdef Output told
    cdef list texts  # for each mark what stands around the number, or None where it is the number itself

    cdef int write(self, ChangeFields change, Output out) except -1
    cdef bint knows(self, origin, table) except -1
    cdef int write_steady(self, long long at, Output out) except -1
    cdef bint learn(self, origin, table) except -1
    cdef int put_fixed(self, long long at, Output out) except -1
    cdef int put_field(self, int index, value, Output out) except -1
