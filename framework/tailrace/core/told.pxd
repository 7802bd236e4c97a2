"""What a stream of MySQL's binlog tells. See told.pyx."""

from tailrace.core.change cimport ChangeFields
from tailrace.core.cutter cimport Cutter, Mapped, Spot
from tailrace.core.output cimport Output


cdef class RowsEvent:
    cdef object table
    cdef object origin
    cdef Cutter cutter
    cdef str op
    cdef bytes octets  # the event, or as much of it as these begin in:
    cdef Py_ssize_t present  # the present bits,
    cdef Py_ssize_t present_after  # of an update, those of the rows after it; else -1
    cdef Py_ssize_t start  # and the first image
    cdef Py_ssize_t first  # of the spots of all events, the first of its own
    cdef long long at  # of its first row


cdef class Told:
    cdef type kind
    cdef list pieces  # events, and RowsEvents in place of many
    cdef Output ends  # for each piece, how many events there are up to its end: Py_ssize_t
    cdef Output spots
    cdef readonly Py_ssize_t count

    cdef int put(self, piece, Py_ssize_t count) except -1
    cdef bint put_rows(self, RowsEvent event) except -1
    cdef int cut_off(self, Py_ssize_t pieces) except -1
    cdef Py_ssize_t place_of(self, Py_ssize_t index) noexcept
    cdef Py_ssize_t begin_of(self, Py_ssize_t place) noexcept
    cdef Py_ssize_t end_of(self, Py_ssize_t place) noexcept
    cdef Py_ssize_t start_of(self, RowsEvent event, Py_ssize_t row) noexcept
    cdef const Spot* spot_of(self, RowsEvent event, Py_ssize_t row) noexcept
    cdef ChangeFields change_of(self, RowsEvent event, Py_ssize_t row)


cdef inline bint is_rows(int type_) noexcept:
    """Whether events of a type have rows, as they are or deflated."""
    return 23 <= type_ <= 25 or 30 <= type_ <= 32 or 166 <= type_ <= 171


cdef bint take_map(bytes event, dict tables, dict bodies) except -1
cdef bint take_event(bytes event, dict tables, origin, Told events, Py_ssize_t most) except -1
