"""Rows of MySQL's binlog. See cutter.pyx."""


cdef class Cutter:
    cdef int count
    cdef int octets  # of the bits of all columns
    cdef int* widths
    cdef unsigned char* keys  # 1 for those of the key

    cdef bint cut(
        self, type kind, table, str op, tuple bits, bytes data, Py_ssize_t start, origin, at, list changes
    ) except -1
    cdef Py_ssize_t end(
        self, const unsigned char* present, const unsigned char* data, Py_ssize_t at, Py_ssize_t size
    ) noexcept
    cdef bint moves(self, bytes before, bytes after) except -1
    cdef Py_ssize_t cell_size(
        self, int index, const unsigned char* present, const unsigned char* nulls, int* bit, const unsigned char* cell
    ) noexcept


cdef class Mapped:
    cdef readonly object owner
    cdef object table
    cdef Cutter cutter


cdef bint take_map(bytes event, dict tables, dict bodies) except -1
cdef bint take_event(bytes event, dict tables, type kind, origin, list events, Py_ssize_t most) except -1


cdef inline unsigned long long number_of(const unsigned char* octets, int size) noexcept:
    """Read a little-endian number of at most 8 octets."""
    cdef unsigned long long number = 0
    cdef int place
    for place in range(size):
        number |= <unsigned long long>octets[place] << (8 * place)
    return number
