"""Where messages of COPY come from. See messages.pyx."""

ctypedef int (*GetCopyData)(void*, char**, int) noexcept
ctypedef void (*FreeMemory)(void*) noexcept


cdef class Messages:
    cdef const unsigned char* octets  # of the message that `next` found, until it is called again,
    cdef Py_ssize_t size  # and how many they are
    cdef object got  # what came instead
    cdef object get_copy_data
    cdef Py_buffer view
    cdef bint is_viewed

    cdef int begin(self) except -1
    cdef bint next(self) except -1
    cdef void drop(self) noexcept


cdef class Tap(Messages):
    cdef object pgconn
    cdef object failure
    cdef GetCopyData get
    cdef FreeMemory free
    cdef void* connection
    cdef char* buffer


cdef Messages messages_of(source)
