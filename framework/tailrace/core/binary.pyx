"""From the binary form of one Postgres cell to its Avro bytes, for the common types in their usual shapes.

    BOOLEAN           0 | 1 as one octet                   => boolean
    INTEGER           integer of `parameter` bits          => long
    OID               4 octets without a sign              => long
    FLOAT, DOUBLE     IEEE 754                             => IEEE 754, little-endian
    TEXT, TRUNCATED   UTF-8                                => string, as of text
    JSONB             version 1, UTF-8                     => string
    UUID              16 octets                            => string of hex digits
    BYTEA             octets                               => bytes
    DECIMAL           digits:int16 weight:int16 sign:int16 scale:int16 (digit to the base of 10000):int16*
                                                           => bytes: the unscaled integer at scale `parameter`
    VARIABLE_DECIMAL  the same                             => scale, bytes; zeros at the end of the fraction dropped
    DATE              int32, days since 2000               => int, days since 1970
    TIME_…            int64, microseconds since midnight   => long
    TIMESTAMP_…       int64, microseconds since 2000       => long since 1970
    ZONED_TIMESTAMP   the same                             => string YYYY-MM-DDTHH:MM:SS.ffffffZ, `parameter` digits

All big-endian. As in `cell.pyx`, anything else (infinity, NaN, years before 1 or after 9999, what is malformed) is left
to the column's Python function: `write_cell` returns False and has written nothing.
Source: the send functions of the types; `tailrace_postgres.binary` is the reference.
"""

from libc.string cimport memcpy

from tailrace.core.cell cimport (
    BOOLEAN, BYTEA, DATE, DECIMAL, DOUBLE, FLOAT, INTEGER, JSONB, MOST_DIGITS, OID, TEXT, TIME_MICROS, TIME_MILLIS,
    TIMESTAMP_MICROS, TIMESTAMP_MILLIS, TRUNCATED, UUID, VARIABLE_DECIMAL, ZONED_TIMESTAMP, Conversion,
    put_little_endian, write_digits, write_text,
)
from tailrace.core.cell cimport write_cell as write_text_cell
from tailrace.core.output cimport Output

cdef enum:
    NUMERIC_HEADER = 8
    EPOCH_DAYS = 10957  # from 1970 to 2000
    FIRST_YEAR_DAYS = -719162  # 0001-01-01, in days since 1970
    LAST_YEAR_DAYS = 2932896  # 9999-12-31

cdef long long DAY = 86400 * 1000000LL
cdef long long EPOCH = 10957 * 86400 * 1000000LL
cdef long long LAST = 0x7FFFFFFFFFFFFFFF
cdef const unsigned char* HEX = b"0123456789abcdef"


cdef bint write_cell(
    Conversion conversion, int parameter, const unsigned char* octets, Py_ssize_t size, Output out
) except -1:
    """Append the Avro form of a cell and return True, or append nothing and return False."""
    if conversion == INTEGER:
        return size * 8 == parameter and put_long(integer(octets, size), out)
    elif conversion == TEXT or conversion == TRUNCATED:
        return write_text_cell(conversion, parameter, octets, size, out)
    elif conversion == DECIMAL:
        return write_numeric(octets, size, parameter, False, out)
    elif conversion == VARIABLE_DECIMAL:
        return write_numeric(octets, size, 0, True, out)
    elif conversion == BOOLEAN:
        return size == 1 and octets[0] <= 1 and put_byte(octets[0], out)
    elif conversion == JSONB:
        return size > 0 and octets[0] == 1 and write_text(octets + 1, size - 1, out)
    elif conversion == UUID:
        return size == 16 and write_uuid(octets, out)
    elif conversion == FLOAT or conversion == DOUBLE:
        return size == (8 if conversion == DOUBLE else 4) and write_float(octets, size, out)
    elif conversion == BYTEA:
        out.put_long(size)
        out.put(octets, size)
        return True
    elif conversion == OID:
        return size == 4 and put_long(integer(octets, size) & 0xFFFFFFFFLL, out)
    elif conversion == DATE:
        return size == 4 and write_date(integer(octets, size), out)
    return size == 8 and write_time(conversion, parameter, integer(octets, size), out)


cdef bint write_time(Conversion conversion, int precision, long long micros, Output out) except -1:
    """Append a time of day, or a moment in microseconds since 2000."""
    if conversion == TIME_MICROS or conversion == TIME_MILLIS:
        return 0 <= micros <= DAY and put_long(micros if conversion == TIME_MICROS else micros // 1000, out)
    if micros > LAST - EPOCH or micros < -LAST:  # the infinities are the ends of the range
        return False
    micros += EPOCH
    if conversion == TIMESTAMP_MICROS:
        return put_long(micros, out)
    elif conversion == TIMESTAMP_MILLIS:
        return put_long(floor_divided(micros, 1000), out)
    elif conversion == ZONED_TIMESTAMP:
        return write_zoned(micros, precision, out)
    return False


cdef inline bint put_long(long long number, Output out) except -1:
    out.put_long(number)
    return True


cdef inline bint put_byte(unsigned char octet, Output out) except -1:
    out.put_byte(octet)
    return True


cdef inline long long floor_divided(long long number, long long divisor) noexcept:
    """Divide towards minus infinity, as Python does."""
    return number // divisor - (number % divisor < 0)


cdef inline long long integer(const unsigned char* octets, Py_ssize_t size) noexcept:
    """Read an integer of 1 to 8 octets."""
    cdef unsigned long long number = 0
    cdef Py_ssize_t place
    for place in range(size):
        number = number << 8 | octets[place]
    return <long long>(number << (64 - 8 * size)) >> (64 - 8 * size)


cdef inline int unsigned16(const unsigned char* octets) noexcept:
    return octets[0] << 8 | octets[1]


cdef bint write_float(const unsigned char* octets, Py_ssize_t size, Output out) except -1:
    cdef unsigned long long bits = 0
    cdef double double_size
    cdef float single
    cdef unsigned int half
    cdef Py_ssize_t place
    for place in range(size):
        bits = bits << 8 | octets[place]
    if size == 8:
        memcpy(&double_size, &bits, 8)
        if double_size != double_size:
            return False
        put_little_endian(<const unsigned char*>&double_size, 8, out)
        return True
    half = <unsigned int>bits
    memcpy(&single, &half, 4)
    if single != single:
        return False
    put_little_endian(<const unsigned char*>&single, 4, out)
    return True


cdef bint write_uuid(const unsigned char* octets, Output out) except -1:
    cdef int place
    out.put_long(36)
    for place in range(16):
        if place == 4 or place == 6 or place == 8 or place == 10:
            out.put_byte(c'-')
        out.put_byte(HEX[octets[place] >> 4])
        out.put_byte(HEX[octets[place] & 15])
    return True


cdef bint write_date(long long days, Output out) except -1:
    days += EPOCH_DAYS
    if days >= 0x7FFFFFFF or days <= -0x80000000LL + EPOCH_DAYS:  # an infinity, or more than 32 bits hold
        return False
    return put_long(days, out)


cdef bint write_numeric(
    const unsigned char* octets, Py_ssize_t size, int scale, bint variable, Output out
) except -1:
    """Append the unscaled integer; before it its scale where that is `variable`."""
    cdef unsigned char[MOST_DIGITS] digits
    cdef int groups, weight, sign, fraction, count = 0, place = 0, group, point
    if size < NUMERIC_HEADER:
        return False
    groups, weight, sign, fraction = (
        unsigned16(octets), <short>unsigned16(octets + 2), unsigned16(octets + 4), unsigned16(octets + 6),
    )
    if size != NUMERIC_HEADER + 2 * groups or (sign != 0 and sign != 0x4000):
        return False
    point = (weight + 1) * 4  # digits before the point
    # Room for the groups, for zeros between them and the point on either side, and for those up to the scale.
    if not -MOST_DIGITS < point < MOST_DIGITS or fraction >= MOST_DIGITS or max(point, 0) + fraction + 4 > MOST_DIGITS:
        return False
    while point < 0 and count < -point and count < fraction:
        digits[count] = 0
        count += 1
    for place in range(groups):
        group = unsigned16(octets + NUMERIC_HEADER + 2 * place)
        if group > 9999 or count + 4 > MOST_DIGITS or (point < 0 and count < -point):
            return False
        digits[count] = group // 1000
        digits[count + 1] = group // 100 % 10
        digits[count + 2] = group // 10 % 10
        digits[count + 3] = group % 10
        count += 4
    point = max(point, 0)
    while count < point + fraction:
        digits[count] = 0
        count += 1
    while count > point + fraction:
        count -= 1
        if digits[count] != 0:
            return False
    if count == 0:
        digits[0] = 0
        count = 1
    return write_digits(digits, count, fraction, sign != 0, scale, variable, out)


cdef bint write_zoned(long long micros, int precision, Output out) except -1:
    """Append a moment as ISO-8601 text in UTC; digits beyond the precision are cut off."""
    cdef long long days = floor_divided(micros, DAY)
    cdef long long of_day = micros - days * DAY
    cdef int year, of_year, from_march, era, of_era, month, day, seconds = <int>(of_day // 1000000), place
    cdef int fraction = <int>(of_day % 1000000)
    cdef unsigned char[27] text
    if not FIRST_YEAR_DAYS <= days <= LAST_YEAR_DAYS or not 0 <= precision <= 6:
        return False
    days += 719468  # since 0000-03-01; eras of 400 years begin in March, so that the leap day is the last one of its year
    era = <int>(days // 146097)
    of_era = <int>(days - era * 146097)
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    from_march = (5 * of_year + 2) // 153
    day = of_year - (153 * from_march + 2) // 5 + 1
    month = from_march + 3 if from_march < 10 else from_march - 9
    year += era * 400 + (month <= 2)
    put_two(text, year // 100)
    put_two(text + 2, year % 100)
    put_two(text + 5, month)
    put_two(text + 8, day)
    put_two(text + 11, seconds // 3600)
    put_two(text + 14, seconds // 60 % 60)
    put_two(text + 17, seconds % 60)
    text[4] = text[7] = c'-'
    text[10] = c'T'
    text[13] = text[16] = c':'
    text[19] = c'.'
    for place in range(5, -1, -1):
        text[20 + place] = 48 + fraction % 10
        fraction //= 10
    place = 20 + precision if precision > 0 else 19
    out.put_long(place + 1)
    out.put(text, place)
    out.put_byte(c'Z')
    return True


cdef inline void put_two(unsigned char* text, int number) noexcept:
    text[0] = 48 + number // 10
    text[1] = 48 + number % 10
