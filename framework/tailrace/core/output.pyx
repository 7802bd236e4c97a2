"""A growing buffer of octets, and Avro's variable-length integers. All that the core writes goes through it.

Its methods are in output.pxd, so that other modules of the core have them inlined. It is of no use from Python.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport free, realloc

cdef enum:
    LARGE = 1 << 22


@cython.final
cdef class Output:
    def __dealloc__(self):
        free(self.data)

    cdef int grow(self, Py_ssize_t more) except -1:
        """Make room for `more` octets by at least doubling, so that appending costs the same however much is there."""
        cdef Py_ssize_t capacity = max(2 * self.capacity, self.size + more, 256)
        cdef unsigned char* data = <unsigned char*>realloc(self.data, <size_t>capacity)
        if data == NULL:
            raise MemoryError
        self.data = data
        self.capacity = capacity
        return 0

    cdef void clear(self) noexcept:
        """Forget all octets, and give back the memory that an uncommonly large row has taken."""
        self.size = 0
        if self.capacity > LARGE:
            free(self.data)
            self.data = NULL
            self.capacity = 0

    cdef bytes octets(self, Py_ssize_t start, Py_ssize_t end):
        """Return a copy of the octets from `start` to before `end`."""
        return PyBytes_FromStringAndSize(<const char*>self.data + start, end - start)
