"""Rows of MySQL's binlog. See cutter.pyx."""

from tailrace.core.output cimport Output


cdef struct Spot:
    Py_ssize_t middle  # where a row ends or, of an update, the row before it,
    Py_ssize_t end  # and where the row after it ends


cdef class Cutter:
    cdef int count
    cdef int octets  # of the bits of all columns
    cdef int* widths
    cdef unsigned char* keys  # 1 for those of the key

    cdef bint cut(
        self, const unsigned char* present, const unsigned char* present_after, const unsigned char* data,
        Py_ssize_t start, Py_ssize_t size, Output spots,
    ) except -1
    cdef Py_ssize_t end(
        self, const unsigned char* present, const unsigned char* data, Py_ssize_t at, Py_ssize_t size
    ) noexcept
    cdef bint moves(
        self, const unsigned char* old, const unsigned char* old_image, const unsigned char* new,
        const unsigned char* new_image,
    ) noexcept
    cdef Py_ssize_t cell_size(
        self, int index, const unsigned char* present, const unsigned char* nulls, int* bit, const unsigned char* cell
    ) noexcept


cdef class Mapped:
    cdef readonly object owner
    cdef object table
    cdef Cutter cutter


cdef inline unsigned long long number_of(const unsigned char* octets, int size) noexcept:
    """Read a little-endian number of at most 8 octets."""
    cdef unsigned long long number = 0
    cdef int place
    for place in range(size):
        number |= <unsigned long long>octets[place] << (8 * place)
    return number
