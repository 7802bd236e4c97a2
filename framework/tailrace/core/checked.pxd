"""Reads that refuse with ValueError what is not there. It is never seen by users: Python takes over, or says what is wrong."""

from tailrace.core.input cimport Input, read_long, take


cdef inline long long integer(Input* octets) except? -1:
    """Take a number."""
    cdef long long number
    if not read_long(octets, &number):
        raise ValueError
    return number


cdef inline const unsigned char* sized(Input* octets, Py_ssize_t* size) except NULL:
    """Take octets with their size before them; return where they begin."""
    cdef long long length = integer(octets)
    cdef const unsigned char* start = take(octets, length)
    if start == NULL:
        raise ValueError
    size[0] = <Py_ssize_t>length
    return start


cdef inline bint boolean(Input* octets) except -1:
    cdef const unsigned char* octet = take(octets, 1)
    if octet == NULL or octet[0] > 1:
        raise ValueError
    return octet[0]
