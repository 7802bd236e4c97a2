"""Where the cells of a binlog row lie. See cutter.pyx."""


cdef class Cutter:
    cdef readonly int count
    cdef int octets  # of the bits of all columns
    cdef int* widths
    cdef unsigned char* keys  # 1 for those of the key

    cdef Py_ssize_t end(
        self, const unsigned char* present, const unsigned char* data, Py_ssize_t at, Py_ssize_t size
    ) noexcept
