"""From one cell of MySQL's binlog, or of a result set's text, to its Avro bytes. See binlog.pyx."""

from tailrace.core.cell cimport Conversion
from tailrace.core.output cimport Output


cdef bint write_cell(
    Conversion conversion, int parameter, const unsigned char* octets, Py_ssize_t size, Output out
) except -1
cdef bint write_text_cell(
    Conversion conversion, int parameter, const unsigned char* text, Py_ssize_t size, Output out
) except -1
