"""From one cell of MySQL's binlog to its Avro bytes, for the common types in their usual shapes.

    INTEGER           1 to 8 octets, little-endian, signed    => long, checked against `parameter` bits
    UNSIGNED          the same without a sign                 => long
    FLOAT, DOUBLE     IEEE 754, little-endian                 => IEEE 754, little-endian
    DECIMAL           packed digits; `parameter` is precision << 8 | scale
                                                              => bytes: the unscaled integer
    YEAR              1 octet, years since 1900; 0: 0         => int
    BIT               1 octet                                 => boolean
    BITS              `parameter` octets, big-endian          => bytes, little-endian
    TEXT, TRUNCATED   UTF-8                                   => string, as of text
    BYTEA             octets                                  => bytes
    JSONB             a document in MySQL's binary form       => string, as the server prints it
    DATE              u24, little-endian                      => int, days since 1970
    TIMESTAMP_…       DATETIME2 of `parameter` digits         => long since 1970
    ZONED_TIMESTAMP   TIMESTAMP2 of `parameter` digits        => string YYYY-MM-DDTHH:MM:SS.ffffffZ
    TIME_MICROS       TIME2 of `parameter` digits             => long since midnight

And of the text of a result set: what `cell.pyx` reads, and BYTEA, BIT and BITS as above, timestamps without a zone. As
there, anything else (dates that no calendar has, numbers that are too large, what is malformed) is left to the column's
Python function: `write_cell` returns False and has written nothing.
Source: `tailrace_mysql.numeric` and `tailrace_mysql.temporal`, which draw the formats, are the reference.
"""

from libc.string cimport memcpy

from tailrace.core.binary cimport write_zoned
from tailrace.core.cell cimport (
    BIT, BITS, BYTEA, DATE, DECIMAL, DOUBLE, FLOAT, INTEGER, JSONB, TEXT, TIME_MICROS, TIMESTAMP_MICROS,
    TIMESTAMP_MILLIS, TRUNCATED, UNSIGNED, YEAR, ZONED_TIMESTAMP, Conversion, put_integer, timestamp,
)
from tailrace.core.cell cimport write_cell as write_common
from tailrace.core.json cimport write_document
from tailrace.core.output cimport Output

cdef enum:
    MOST_DECIMAL_DIGITS = 81  # 65 of them count, in at most nine groups of nine

cdef long long SECOND = 1000000
cdef long long DAY = 86400 * 1000000LL
cdef int[13] DAYS_OF_MONTH = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
cdef int[10] DIGIT_OCTETS = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4]
cdef int[4] FRACTION = [0, 10000, 100, 1]  # microseconds in a unit of the fraction, by its octets
cdef unsigned long long LAST = 0x7FFFFFFFFFFFFFFFULL


cdef bint write_cell(
    Conversion conversion, int parameter, const unsigned char* octets, Py_ssize_t size, Output out
) except -1:
    """Append the Avro form of a cell of the binlog and return True, or append nothing and return False."""
    if conversion == INTEGER or conversion == UNSIGNED:
        return 1 <= size <= 8 and write_integer(octets, size, conversion == UNSIGNED, parameter, out)
    elif conversion == TEXT or conversion == TRUNCATED:
        return write_common(conversion, parameter, octets, size, out)
    elif conversion == DECIMAL:
        return write_decimal(octets, size, parameter >> 8, parameter & 0xFF, out)
    elif conversion == TIMESTAMP_MICROS or conversion == TIMESTAMP_MILLIS:
        return write_datetime(octets, size, parameter, conversion == TIMESTAMP_MILLIS, out)
    elif conversion == ZONED_TIMESTAMP:
        return write_timestamp(octets, size, parameter, out)
    elif conversion == JSONB:
        return write_document(octets, size, out)
    elif conversion == DOUBLE or conversion == FLOAT:
        return size == (8 if conversion == DOUBLE else 4) and write_float(octets, size, out)
    elif conversion == DATE:
        return size == 3 and write_date(<int>little_endian(octets, 3), out)
    elif conversion == TIME_MICROS:
        return write_time(octets, size, parameter, out)
    elif conversion == YEAR:
        return size == 1 and put_long(octets[0] + 1900 if octets[0] else 0, out)
    return write_octets(conversion, parameter, octets, size, out)


cdef bint write_text_cell(
    Conversion conversion, int parameter, const unsigned char* text, Py_ssize_t size, Output out
) except -1:
    """Append the Avro form of a cell of a result set and return True, or append nothing and return False."""
    cdef long long micros = 0
    if conversion == ZONED_TIMESTAMP:
        return timestamp(text, size, &micros) and write_zoned(micros, parameter, out)
    if conversion == BYTEA or conversion == BIT or conversion == BITS:
        return write_octets(conversion, parameter, text, size, out)
    return write_common(conversion, parameter, text, size, out)


cdef bint write_octets(
    Conversion conversion, int parameter, const unsigned char* octets, Py_ssize_t size, Output out
) except -1:
    cdef Py_ssize_t place
    cdef unsigned char any_bit = 0
    if conversion == BYTEA:
        out.put_long(size)
        out.put(octets, size)
        return True
    if conversion == BITS and size == parameter:
        out.put_long(size)
        for place in range(size - 1, -1, -1):
            out.put_byte(octets[place])
        return True
    if conversion == BIT:
        for place in range(size):
            any_bit |= octets[place]
        out.put_byte(any_bit != 0)
        return True
    return False


cdef inline bint put_long(long long number, Output out) except -1:
    out.put_long(number)
    return True


cdef inline unsigned long long little_endian(const unsigned char* octets, Py_ssize_t size) noexcept:
    """Read a number of at most 8 octets."""
    cdef unsigned long long number = 0
    cdef Py_ssize_t place
    for place in range(size):
        number |= <unsigned long long>octets[place] << (8 * place)
    return number


cdef inline unsigned long long big_endian(const unsigned char* octets, Py_ssize_t size) noexcept:
    """Read a number of at most 8 octets."""
    cdef unsigned long long number = 0
    cdef Py_ssize_t place
    for place in range(size):
        number = number << 8 | octets[place]
    return number


cdef bint write_integer(const unsigned char* octets, Py_ssize_t size, bint is_unsigned, int bits, Output out) except -1:
    cdef unsigned long long number = little_endian(octets, size)
    cdef long long value
    cdef int free = <int>(64 - 8 * size)
    if is_unsigned:
        if number > LAST:
            return False
        value = <long long>number
    else:
        value = <long long>(number << free) >> free
    if bits < 64 and not -(1LL << (bits - 1)) <= value < (1LL << (bits - 1)):
        return False
    return put_long(value, out)


cdef bint write_float(const unsigned char* octets, Py_ssize_t size, Output out) except -1:
    """Octets that are little-endian already; a number that is none is left to Python."""
    cdef unsigned long long bits = little_endian(octets, size)
    cdef unsigned int half = <unsigned int>bits
    cdef double double_size
    cdef float single
    if size == 8:
        memcpy(&double_size, &bits, 8)
        if double_size != double_size:
            return False
    else:
        memcpy(&single, &half, 4)
        if single != single:
            return False
    out.put(octets, size)
    return True


cdef bint write_decimal(
    const unsigned char* octets, Py_ssize_t size, int precision, int scale, Output out
) except -1:
    """Unpack groups of nine digits, counted from the point; the outer ones may be shorter."""
    cdef unsigned char[MOST_DECIMAL_DIGITS] digits
    cdef int count = 0, at = 0, whole = precision - scale, group, left
    cdef unsigned char mask
    if not 0 <= scale <= precision <= 65 or size == 0:
        return False
    if size != octets_of(whole) + octets_of(scale):
        return False
    mask = 0 if octets[0] & 0x80 else 0xFF
    group = whole % 9
    left = whole
    while left > 0:
        group = left % 9 if left % 9 else 9
        if not unpack(octets, &at, group, mask, digits, &count):
            return False
        left -= group
    left = scale
    while left > 0:
        group = min(left, 9)
        if not unpack(octets, &at, group, mask, digits, &count):
            return False
        left -= group
    return put_digits(digits, count, mask != 0, out)


cdef inline int octets_of(int digits) noexcept:
    return digits // 9 * 4 + DIGIT_OCTETS[digits % 9]


cdef bint unpack(
    const unsigned char* octets, int* at, int group, unsigned char mask, unsigned char* digits, int* count
) noexcept:
    """Append the digits of one group, from `at` on; False where it has more of them."""
    cdef unsigned int number = 0
    cdef unsigned char octet
    cdef int place
    for place in range(DIGIT_OCTETS[group]):
        octet = octets[at[0]] ^ mask
        if at[0] == 0:
            octet ^= 0x80
        number = number << 8 | octet
        at[0] += 1
    for place in range(group - 1, -1, -1):
        digits[count[0] + place] = number % 10
        number //= 10
    count[0] += group
    return number == 0


cdef bint put_digits(const unsigned char* digits, int count, bint negative, Output out) except -1:
    """Append the integer of these digits: by one machine word where that holds it."""
    cdef long long number = 0
    cdef int place, size = 1
    if count > 18:
        put_integer(digits, count, negative, out)
        return True
    for place in range(count):
        number = number * 10 + digits[place]
    if negative:
        number = -number
    while size < 8 and not -(1LL << (8 * size - 1)) <= number < (1LL << (8 * size - 1)):
        size += 1
    out.put_long(size)
    out.put_big_endian(<unsigned long long>number, size)
    return True


cdef bint days_of(int year, int month, int day, long long* days) noexcept:
    """Count the days since 1970, by eras of 400 years that begin in March; False for a day that no calendar has."""
    cdef int era
    if not 1 <= month <= 12 or not 1 <= day <= DAYS_OF_MONTH[month]:
        return False
    if month == 2 and day == 29 and (year % 4 or (year % 100 == 0 and year % 400)):
        return False
    year += 400  # so that none is negative
    year -= month <= 2
    era = year // 400
    year -= era * 400
    days[0] = (era - 1) * 146097LL + year * 365 + year // 4 - year // 100
    days[0] += (153 * ((month + 9) % 12) + 2) // 5 + day - 1 - 719468
    return True


cdef bint write_date(int packed, Output out) except -1:
    cdef long long days = 0
    return days_of(packed >> 9, packed >> 5 & 15, packed & 31, &days) and put_long(days, out)


cdef bint write_datetime(const unsigned char* octets, Py_ssize_t size, int digits, bint millis, Output out) except -1:
    cdef int fraction = (digits + 1) // 2, month, hour, minute, second
    cdef long long packed, days = 0, micros
    if not 0 <= digits <= 6 or size != 5 + fraction:
        return False
    packed = <long long>big_endian(octets, 5) - (1LL << 39)
    if packed < 0:
        return False
    month = <int>(packed >> 22)
    hour, minute, second = <int>(packed >> 12 & 31), <int>(packed >> 6 & 63), <int>(packed & 63)
    micros = <long long>big_endian(octets + 5, fraction) * FRACTION[fraction]
    if hour > 23 or minute > 59 or second > 59 or micros >= SECOND:
        return False
    if not days_of(month // 13, month % 13, <int>(packed >> 17 & 31), &days):
        return False
    micros += days * DAY + (hour * 3600 + minute * 60 + second) * SECOND
    return put_long(micros // 1000 - (micros % 1000 < 0) if millis else micros, out)


cdef bint write_timestamp(const unsigned char* octets, Py_ssize_t size, int digits, Output out) except -1:
    cdef int fraction = (digits + 1) // 2
    cdef long long micros
    if not 0 <= digits <= 6 or size != 4 + fraction:
        return False
    micros = <long long>big_endian(octets, 4) * SECOND + <long long>big_endian(octets + 4, fraction) * FRACTION[fraction]
    return micros != 0 and write_zoned(micros, digits, out)


cdef bint write_time(const unsigned char* octets, Py_ssize_t size, int digits, Output out) except -1:
    cdef int fraction = (digits + 1) // 2, bits = 8 * ((digits + 1) // 2)
    cdef long long packed, whole, micros
    cdef bint negative
    if not 0 <= digits <= 6 or size != 3 + fraction:
        return False
    packed = <long long>big_endian(octets, size) - (0x800000LL << bits)
    negative = packed < 0
    if negative:
        packed = -packed
    whole = packed >> bits
    micros = ((whole >> 12) * 3600 + (whole >> 6 & 63) * 60 + (whole & 63)) * SECOND
    micros += (packed & ((1LL << bits) - 1)) * FRACTION[fraction]
    return put_long(-micros if negative else micros, out)
