"""Cells of Postgres' COPY in its binary format. See tuplecell.pyx."""

from tailrace.core.input cimport Input
from tailrace.core.linecell cimport Form
from tailrace.core.output cimport Output

cdef int put_tuple_cell(Output out, Form form, int scale, Input* octets) except -1
