"""From the binary form of one Postgres cell to its Avro bytes. See binary.pyx."""

from tailrace.core.cell cimport Conversion
from tailrace.core.output cimport Output


cdef bint write_cell(
    Conversion conversion, int parameter, const unsigned char* octets, Py_ssize_t size, Output out
) except -1
cdef bint write_zoned(long long micros, int precision, Output out) except -1
