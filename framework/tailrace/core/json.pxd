"""From MySQL's binary JSON to the text that the server prints. See json.pyx."""

from tailrace.core.output cimport Output


cdef bint write_document(const unsigned char* octets, Py_ssize_t size, Output out) except -1
