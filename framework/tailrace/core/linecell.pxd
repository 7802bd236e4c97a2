"""Cells of Postgres' COPY in its text format, and what their forms are called. See linecell.pyx."""

from tailrace.core.input cimport Input
from tailrace.core.output cimport Output

cdef enum Form:
    INTEGER
    BOOLEAN
    FLOAT
    DOUBLE
    OCTETS
    TEXT
    DECIMAL
    DATE
    TIME
    TIMESTAMP
    ZONED
    UUID
    PLAIN

cdef int put_line_cell(Output out, Form form, int scale, Input* octets) except -1
