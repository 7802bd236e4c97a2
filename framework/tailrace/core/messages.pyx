"""Messages of COPY, one after the other, out of libpq: by a method of its Python binding, or by its own function.

A method of Python makes a tuple, a number and a view for every message, which take more time than a narrow row does on
its way from here to the log. `Tap` calls `PQgetCopyData` and `PQfreemem` by their addresses instead; who knows these is
`tailrace_postgres.libpq`. Source: Postgres manual, chapter 34 (libpq, functions associated with the COPY command).
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uintptr_t


cdef class Messages:
    """Messages by `get_copy_data`, a method as psycopg's `PGconn` has it. What it raises goes on to the caller."""

    def __init__(self, get_copy_data):
        self.get_copy_data = get_copy_data

    def __dealloc__(self):
        self.drop()

    cdef int begin(self) except -1:
        """Make sure that messages can be asked for."""
        return 0

    cdef bint next(self) except -1:
        """Go to the next message; False where there is none now: then `got` is the negative or no length, and no octets."""
        self.drop()
        got = self.get_copy_data(1)
        length, data = got
        if length <= 0:
            self.got = got
            return False
        PyObject_GetBuffer(data, &self.view, PyBUF_SIMPLE)
        self.is_viewed = True
        self.octets = <const unsigned char*>self.view.buf
        self.size = self.view.len
        return True

    cdef void drop(self) noexcept:
        """Give the message back."""
        if self.is_viewed:
            PyBuffer_Release(&self.view)
            self.is_viewed = False


cdef class Tap(Messages):
    """Messages of `pgconn` by libpq's functions, at their addresses; `failure` makes the error to be raised.

    `pgconn` is asked for the connection's address whenever messages are asked for, and raises where it is closed.
    """

    def __init__(self, pgconn, failure, *, get, free):
        self.pgconn = pgconn
        self.failure = failure
        self.get = <GetCopyData><uintptr_t>get
        self.free = <FreeMemory><uintptr_t>free
        if self.get == NULL or self.free == NULL:
            raise ValueError("no address")

    cdef int begin(self) except -1:
        address = self.pgconn.pgconn_ptr
        if not address:
            raise self.failure()
        self.connection = <void*><uintptr_t>address
        return 0

    cdef bint next(self) except -1:
        cdef int length
        self.drop()
        length = self.get(self.connection, &self.buffer, 1)
        if length > 0:
            self.octets = <const unsigned char*>self.buffer
            self.size = length
            return True
        if length < -1:
            raise self.failure()
        self.got = (length, memoryview(b""))
        return False

    cdef void drop(self) noexcept:
        if self.buffer != NULL:
            self.free(self.buffer)
            self.buffer = NULL


cdef Messages messages_of(source):
    """Return `source`, or what calls it where it is such a method, ready to be asked."""
    cdef Messages messages = <Messages>source if isinstance(source, Messages) else Messages(source)
    messages.begin()
    return messages
