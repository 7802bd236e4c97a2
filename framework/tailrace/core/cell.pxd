"""From the text of one Postgres cell to its Avro bytes. See cell.pyx."""

from tailrace.core.output cimport Output


cdef enum Conversion:
    CALL  # none of these: the plan's Python function for the column does it
    BOOLEAN
    INTEGER
    FLOAT
    DOUBLE
    TEXT
    BYTEA
    DECIMAL
    VARIABLE_DECIMAL
    DATE
    TIME_MILLIS
    TIME_MICROS
    TIMESTAMP_MILLIS
    TIMESTAMP_MICROS
    ZONED_TIMESTAMP
    TRUNCATED
    CONSTANT  # the plan's placeholder, whatever the cell says
    OID  # from here on: of binary cells only
    UUID
    JSONB
    UNSIGNED  # and these, of MySQL only
    YEAR
    BIT
    BITS


cdef enum:
    MOST_DIGITS = 308  # of a decimal


cdef bint write_cell(
    Conversion conversion, int parameter, const unsigned char* text, Py_ssize_t size, Output out
) except -1

# What other forms of cells end in too.
cdef bint is_utf8(const unsigned char* text, Py_ssize_t size) noexcept
cdef bint timestamp(const unsigned char* text, Py_ssize_t size, long long* micros) noexcept
cdef int put_integer(const unsigned char* digits, int count, bint negative, Output out) except -1
cdef bint write_text(const unsigned char* text, Py_ssize_t size, Output out) except -1
cdef int put_little_endian(const unsigned char* number, int size, Output out) except -1
cdef bint write_digits(
    unsigned char* digits, int count, int fraction, bint negative, int scale, bint variable, Output out
) except -1
