r"""From the Avro of a value to its text in a line of COPY.

    text             UTF-8, with \\ \n \r \t escaped          bytes     \\x hex digits
    float, double    the digits that `repr` prints           boolean   true | false

Numbers, dates and times: see moment.pxd. Refused with ValueError is what has no usual form: an infinite timestamp, a year
beyond 9999, a decimal of more than 64 bits, a zero character. It is of no use from Python.
Source: Postgres manual, COPY, "Text Format"; Avro specification 1.11, "Binary Encoding".
"""

from cpython.mem cimport PyMem_Free
from libc.string cimport memcpy

from tailrace.core.checked cimport boolean, integer, sized
from tailrace.core.digits cimport DIGITS, MOST_DIGITS, digits_of
from tailrace.core.input cimport Input, take
from tailrace.core.moment cimport put_date, put_integer, put_time, put_timestamp
from tailrace.core.output cimport Output

cdef extern from "Python.h":
    char* PyOS_double_to_string(double number, char format_code, int precision, int flags, int* kind) except NULL


cdef int put_line_cell(Output out, Form form, int scale, Input* octets) except -1:
    """Append a value; `scale` is a decimal's, or the units of a second."""
    if form == TEXT:
        put_escaped(out, octets)
    elif form == INTEGER:
        put_integer(out, integer(octets))
    elif form == TIMESTAMP:
        put_timestamp(out, integer(octets), scale)
    elif form == DECIMAL:
        put_decimal(out, octets, scale)
    elif form == BOOLEAN:
        put_boolean(out, boolean(octets))
    elif form == DOUBLE or form == FLOAT:
        put_float(out, octets, 8 if form == DOUBLE else 4)
    elif form == DATE:
        put_date(out, integer(octets))
    elif form == TIME:
        put_time(out, integer(octets), scale)
    elif form == OCTETS:
        put_hexadecimal(out, octets)
    else:
        put_plain(out, octets, zoned=form == ZONED)
    return 0


cdef int put_boolean(Output out, bint value) except -1:
    if value:
        return out.put(<const unsigned char*>b"true", 4)
    return out.put(<const unsigned char*>b"false", 5)


cdef int put_escaped(Output out, Input* octets) except -1:
    """Append text, UTF-8 as it is, with what COPY reads in its own way escaped."""
    cdef Py_ssize_t size, place, done = 0
    cdef const unsigned char* start = sized(octets, &size)
    cdef unsigned char octet
    out.reserve(2 * size)
    for place in range(size):
        octet = start[place]
        if octet > 13 and octet != c"\\":
            continue
        if octet == 0:
            raise ValueError
        if octet == c"\n":
            octet = c"n"
        elif octet == c"\r":
            octet = c"r"
        elif octet == c"\t":
            octet = c"t"
        elif octet != c"\\":
            continue
        out.put(start + done, place - done)
        out.put_byte(c"\\")
        out.put_byte(octet)
        done = place + 1
    out.put(start + done, size - done)
    return 0


cdef int put_plain(Output out, Input* octets, bint zoned) except -1:
    """Append text that needs no escape; a zoned timestamp only where its year has four digits."""
    cdef Py_ssize_t size, place
    cdef const unsigned char* start = sized(octets, &size)
    if zoned and (size < 20 or start[4] != c"-"):
        raise ValueError
    for place in range(size):
        if start[place] < 32 or start[place] == c"\\":
            raise ValueError
    out.put(start, size)
    return 0


cdef int put_float(Output out, Input* octets, int size) except -1:
    """Append the digits that `repr` prints; of a 32-bit float those of the double that it equals."""
    cdef const unsigned char* start = take(octets, size)
    cdef unsigned long long bits = 0
    cdef unsigned int few
    cdef float single
    cdef double number
    cdef int place, length = 0
    cdef char* text
    if start == NULL:
        raise ValueError
    for place in range(size):
        bits |= <unsigned long long>start[place] << (8 * place)
    if size == 4:
        few = <unsigned int>bits
        memcpy(&single, &few, 4)
        number = single
    else:
        memcpy(&number, &bits, 8)
    if number != number or number - number != 0:
        raise ValueError
    text = PyOS_double_to_string(number, c"r", 0, 2, NULL)
    while text[length]:
        length += 1
    out.put(<const unsigned char*>text, length)
    PyMem_Free(text)
    return 0


cdef int put_decimal(Output out, Input* octets, int scale) except -1:
    """Append a number of 1 to 8 octets, `scale` of its digits behind the point."""
    cdef Py_ssize_t size
    cdef const unsigned char* start = sized(octets, &size)
    cdef char text[DIGITS]
    cdef int begin
    if not 0 < size <= 8 or not 0 <= scale <= MOST_DIGITS:
        raise ValueError
    begin = digits_of(start, size, scale, text)
    out.put(<const unsigned char*>text + begin, DIGITS - begin)
    return 0


cdef int put_hexadecimal(Output out, Input* octets) except -1:
    r"""Append `\\x`, whose backslash is escaped, and two digits for each octet."""
    cdef Py_ssize_t size, place
    cdef const unsigned char* start = sized(octets, &size)
    cdef const unsigned char* digits = b"0123456789abcdef"
    out.put(<const unsigned char*>b"\\\\x", 3)
    out.reserve(2 * size)
    for place in range(size):
        out.data[out.size] = digits[start[place] >> 4]
        out.data[out.size + 1] = digits[start[place] & 15]
        out.size += 2
    return 0
