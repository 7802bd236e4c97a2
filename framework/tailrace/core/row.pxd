"""Rows of wire bytes to rows of Avro bytes. See row.pyx."""

from tailrace.core.cell cimport Conversion
from tailrace.core.output cimport Output


# Writes the Avro form of a cell, or returns False with nothing written: one for each form that cells have.
ctypedef bint (*Convert)(Conversion, int, const unsigned char*, Py_ssize_t, Output) except -1


cdef enum Layout:
    TUPLE
    COPY
    BINARY_TUPLE
    BINARY_COPY
    BINLOG
    TEXT_ROW


cdef enum Kind:
    NULL_CELL
    UNSENT_CELL
    VALUE_CELL


cdef struct Cell:
    Kind kind
    const unsigned char* octets
    Py_ssize_t size


cdef struct Column:
    Conversion conversion
    int parameter
    int branch  # the octet before a value of a nullable column, else -1
    bint required
    bint is_key
    bint is_left_out
    Py_ssize_t start  # where its piece of the row written last begins in the output,
    Py_ssize_t end  # and where it ends
    int width  # of its cells in the binlog: octets or, negative, octets of the length before them


cdef class RowPlan:
    cdef readonly int count
    cdef Layout layout
    cdef Convert convert
    cdef Output unescaped  # octets that `cells` point to where their text had escapes,
    cdef Output lent  # and those that `lenders` point to
    cdef Column* columns
    cdef Cell* cells  # of the row that is to be written
    cdef Cell* lenders  # of the row before it
    cdef list nulls
    cdef list placeholders
    cdef list writers
    cdef list names
    cdef list unsent  # the names, as JSON, of columns that the row cut last lacks, as far as it is written

    cdef bint cut(self, const unsigned char* wire, Py_ssize_t size, bint lending) except -1
    cdef bint cut_image(
        self, const unsigned char* present, const unsigned char* image, Py_ssize_t size, bint lending
    ) except -1
    cdef bint cut_tuple(self, const unsigned char* wire, Py_ssize_t size, Cell* cells, unsigned char value) noexcept
    cdef bint cut_binary_copy(self, const unsigned char* wire, Py_ssize_t size, Cell* cells) noexcept
    cdef bint cut_copy(self, const unsigned char* wire, Py_ssize_t size, Cell* cells, Output plain) except -1
    cdef bint cut_binlog(
        self, const unsigned char* present, const unsigned char* nulls, Py_ssize_t size, Cell* cells
    ) noexcept
    cdef bint cut_text_row(self, const unsigned char* wire, Py_ssize_t size, Cell* cells) noexcept
    cdef void lend(self) noexcept
    cdef bint write_before(self, Output out) except -1
    cdef bint write_after(self, Output out) except -1
    cdef bint is_needed(self, int index) noexcept
    cdef int write_cell(self, int index, const Cell* cell, Output out) except -1
