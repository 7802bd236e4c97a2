r"""From the Avro of a value to its cell in a row of binary COPY: the size in 32 bits, then the value as `typreceive` has it.

    integer           int16, int32, int64: as many octets as the column has
    float, double     IEEE 754                               boolean   0 | 1
    text, json, bytes as they are                            uuid      16 octets
    date              days since 2000-01-01 in 32 bits
    time              microseconds in 64 bits                timestamp likewise, since 2000-01-01
    decimal           digits weight sign scale digit*        16 bits each; a digit is one of 10,000

All numbers are big-endian. What linecell.pyx refuses is refused here, too. It is of no use from Python.
Source: Postgres manual, COPY, "Binary Format", and the functions `…_recv` of its types (numeric.c, timestamp.c, date.c).
"""

from libc.string cimport memchr

from tailrace.core.checked cimport boolean, integer, sized
from tailrace.core.digits cimport MOST_DIGITS, magnitude_of
from tailrace.core.input cimport Input, take
from tailrace.core.instant cimport instant_of
from tailrace.core.linecell cimport BOOLEAN, DATE, DECIMAL, DOUBLE, FLOAT, INTEGER, OCTETS, TEXT, TIME, TIMESTAMP, UUID, ZONED
from tailrace.core.moment cimport DAYS_AFTER, DAYS_BEFORE
from tailrace.core.output cimport Output

cdef enum:
    SECOND = 1000000
    EPOCH_DAYS = 10957  # of 2000-01-01 since 1970-01-01
    BASE = 10000
    BASE_DIGITS = 4
    MOST_GROUPS = 12  # of four digits: 20 of a number of 64 bits, and MOST_DIGITS behind the point, with room
    NEGATIVE = 0x4000

cdef long long DAY = 86400 * <long long>SECOND
cdef long long EPOCH = EPOCH_DAYS * 86400 * <long long>SECOND


cdef int put_tuple_cell(Output out, Form form, int scale, Input* octets) except -1:
    """Append a value; `scale` is a decimal's, the units of a second, or the octets of an integer."""
    if form == TEXT:
        put_octets(out, octets, text=True)
    elif form == INTEGER:
        put_number(out, integer(octets), scale)
    elif form == TIMESTAMP:
        put_number(out, since_epoch(micros(integer(octets), scale)), 8)
    elif form == ZONED:
        put_number(out, since_epoch(instant(octets)), 8)
    elif form == DECIMAL:
        put_numeric(out, octets, scale)
    elif form == BOOLEAN:
        put_number(out, boolean(octets), 1)
    elif form == DOUBLE or form == FLOAT:
        put_reversed(out, octets, 8 if form == DOUBLE else 4)
    elif form == DATE:
        put_number(out, day(integer(octets)), 4)
    elif form == TIME:
        put_number(out, of_day(micros(integer(octets), scale)), 8)
    elif form == UUID:
        put_uuid(out, octets)
    elif form == OCTETS:
        put_octets(out, octets, text=False)
    else:
        raise ValueError
    return 0


cdef int put_number(Output out, long long number, int size) except -1:
    if size < 8 and not -(1LL << (8 * size - 1)) <= number < 1LL << (8 * size - 1):
        raise ValueError
    out.put_big_endian(<unsigned long long>size, 4)
    return out.put_big_endian(<unsigned long long>number, size)


cdef int put_octets(Output out, Input* octets, bint text) except -1:
    """Append octets as they are; a text has no zero among them."""
    cdef Py_ssize_t size
    cdef const unsigned char* start = sized(octets, &size)
    if size > 0x7FFFFFFF or (text and memchr(start, 0, <size_t>size) != NULL):
        raise ValueError
    out.put_big_endian(<unsigned long long>size, 4)
    return out.put(start, size)


cdef int put_reversed(Output out, Input* octets, int size) except -1:
    """Append a float, which Avro has the other way round."""
    cdef const unsigned char* start = take(octets, size)
    cdef int place
    if start == NULL:
        raise ValueError
    out.put_big_endian(<unsigned long long>size, 4)
    for place in range(size - 1, -1, -1):
        out.put_byte(start[place])
    return 0


cdef long long micros(long long value, long long unit) except? -1:
    cdef long long factor = SECOND // unit
    if not -(0x7FFFFFFFFFFFFFFF // factor) <= value <= 0x7FFFFFFFFFFFFFFF // factor:
        raise ValueError
    return value * factor


cdef long long of_day(long long value) except? -1:
    if not 0 <= value <= DAY:
        raise ValueError
    return value


cdef long long day(long long days) except? -1:
    if not -DAYS_BEFORE <= days <= DAYS_AFTER:
        raise ValueError
    return days - EPOCH_DAYS


cdef long long since_epoch(long long value) except? -1:
    """Return microseconds since 2000 for those since 1970, of the years 1 to 9999."""
    if not -DAYS_BEFORE * DAY <= value < (DAYS_AFTER + 1) * DAY:
        raise ValueError
    return value - EPOCH


cdef long long instant(Input* octets) except? -1:
    cdef Py_ssize_t size
    cdef const unsigned char* start = sized(octets, &size)
    cdef long long value
    if not instant_of(start, size, &value):
        raise ValueError
    return value


cdef int put_uuid(Output out, Input* octets) except -1:
    """Append the octets of 8-4-4-4-12 digits."""
    cdef Py_ssize_t size, place
    cdef const unsigned char* start = sized(octets, &size)
    cdef int high, low
    if size != 36:
        raise ValueError
    out.put_big_endian(16, 4)
    place = 0
    while place < 36:
        if place in (8, 13, 18, 23):
            if start[place] != c"-":
                raise ValueError
            place += 1
            continue
        high, low = hexadecimal(start[place]), hexadecimal(start[place + 1])
        out.put_byte(<unsigned char>(high << 4 | low))
        place += 2
    return 0


cdef int hexadecimal(unsigned char digit) except -1:
    if c"0" <= digit <= c"9":
        return digit - c"0"
    if c"a" <= digit <= c"f":
        return digit - c"a" + 10
    if c"A" <= digit <= c"F":
        return digit - c"A" + 10
    raise ValueError


cdef int put_numeric(Output out, Input* octets, int scale) except -1:
    """Append a number of 1 to 8 octets in two's complement, `scale` of its digits behind the point."""
    cdef unsigned int[MOST_GROUPS] groups
    cdef Py_ssize_t size
    cdef const unsigned char* start = sized(octets, &size)
    if not 0 < size <= 8 or not 0 <= scale <= MOST_DIGITS:
        raise ValueError
    return put_groups(out, groups, grouped(magnitude_of(start, size), scale, groups), start[0] >= 0x80, scale)


cdef int grouped(unsigned long long number, int scale, unsigned int* groups) noexcept:
    """Part a number into groups of four digits to either side of the point, the lowest first; return how many."""
    cdef unsigned int power = 1
    cdef int over = scale % BASE_DIGITS, count = 0, place
    if over:  # the last group behind the point is filled up with zeros
        for place in range(over):
            power *= 10
        groups[0] = <unsigned int>(number % power) * (BASE // power)
        number //= power
        count = 1
    while number:
        groups[count] = <unsigned int>(number % BASE)
        number //= BASE
        count += 1
    return count


cdef int put_groups(Output out, unsigned int* groups, int count, bint negative, int scale) except -1:
    """Append a numeric; neither its first nor its last group may be zero."""
    cdef int last = 0
    cdef int weight = count - 1 - (scale + BASE_DIGITS - 1) // BASE_DIGITS
    while count and groups[count - 1] == 0:
        count -= 1
        weight -= 1
    while last < count and groups[last] == 0:
        last += 1
    if last == count:
        weight = 0
    out.put_big_endian(<unsigned long long>(8 + 2 * (count - last)), 4)
    out.put_big_endian(<unsigned long long>(count - last), 2)
    out.put_big_endian(<unsigned long long>weight, 2)
    out.put_big_endian(NEGATIVE if negative and last < count else 0, 2)
    out.put_big_endian(<unsigned long long>scale, 2)
    while count > last:
        count -= 1
        out.put_big_endian(groups[count], 2)
    return 0
