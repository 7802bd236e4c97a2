"""From the text of one Postgres cell to its Avro bytes, for the common types in their usual shapes.

    BOOLEAN           t | f                                => boolean
    INTEGER           [-] digits                           => long, checked against `parameter` bits
    FLOAT, DOUBLE     a decimal                            => IEEE 754, little-endian
    TEXT              UTF-8                                => string
    BYTEA             \\x hex digits                        => bytes
    DECIMAL           [-] digits [. digits]                => bytes: the unscaled integer at scale `parameter`
    VARIABLE_DECIMAL  the same                             => scale, bytes; zeros at the end of the fraction dropped
    DATE              YYYY-MM-DD                           => int, days since 1970
    TIME_…            HH:MM:SS[.f…]                        => long since midnight
    TIMESTAMP_…       YYYY-MM-DD HH:MM:SS[.f…]             => long since 1970
    ZONED_TIMESTAMP   YYYY-MM-DD HH:MM:SS[.f…]+00          => string YYYY-MM-DDTHH:MM:SS.ffffffZ, `parameter` digits
    TRUNCATED         UTF-8                                => string of the first `parameter` characters

Anything else (infinity, NaN, BC, years of five digits, text that is malformed or out of range) is not refused here but
left to the column's Python function, which reads it or says what is wrong with it: `write_cell` returns False and has
written nothing. So there is one authority for what a cell means, and this module can be small.
"""

from cpython.conversion cimport PyOS_string_to_double
from libc.string cimport memcpy

from tailrace.core.output cimport Output

cdef enum:
    LIMBS = 32  # of 32 bits: they hold MOST_DIGITS digits
    LONGEST_FLOAT = 40  # Postgres prints at most 24

cdef long long SECOND = 1000000
cdef long long DAY = 86400 * 1000000
cdef unsigned int[10] POWERS = [1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000]
cdef int[13] DAYS_OF_MONTH = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]


cdef bint write_cell(
    Conversion conversion, int parameter, const unsigned char* text, Py_ssize_t size, Output out
) except -1:
    """Append the Avro form of a cell and return True, or append nothing and return False."""
    cdef long long number = 0
    if conversion == TEXT:
        return write_text(text, size, out)
    elif conversion == INTEGER:
        return integer(text, size, parameter, &number) and put_long(number, out)
    elif conversion == DECIMAL:
        return write_decimal(text, size, parameter, False, out)
    elif conversion == VARIABLE_DECIMAL:
        return write_decimal(text, size, 0, True, out)
    elif conversion == TIMESTAMP_MICROS:
        return timestamp(text, size, &number) and put_long(number, out)
    elif conversion == TIMESTAMP_MILLIS:
        return timestamp(text, size, &number) and put_long(floor_thousandth(number), out)
    elif conversion == ZONED_TIMESTAMP:
        return write_zoned(text, size, parameter, out)
    elif conversion == BOOLEAN:
        return write_boolean(text, size, out)
    elif conversion == DOUBLE or conversion == FLOAT:
        return write_float(text, size, conversion == DOUBLE, out)
    elif conversion == DATE:
        return size == 10 and date(text, &number) and put_long(number, out)
    elif conversion == TIME_MICROS:
        return clock(text, size, &number) and put_long(number, out)
    elif conversion == TIME_MILLIS:
        return clock(text, size, &number) and put_long(number // 1000, out)
    elif conversion == BYTEA:
        return write_bytea(text, size, out)
    elif conversion == TRUNCATED:
        return is_utf8(text, size) and write_text(text, start_of(text, size, parameter), out)
    return False


cdef inline bint put_long(long long number, Output out) except -1:
    out.put_long(number)
    return True


cdef inline long long floor_thousandth(long long number) noexcept:
    """Divide by 1000, towards minus infinity, as Python does."""
    return number // 1000 - (number % 1000 < 0)


cdef inline bint is_digit(unsigned char octet) noexcept:
    return 48 <= octet <= 57


cdef bint write_boolean(const unsigned char* text, Py_ssize_t size, Output out) except -1:
    if size != 1 or (text[0] != c't' and text[0] != c'f'):
        return False
    out.put_byte(text[0] == c't')
    return True


cdef bint integer(const unsigned char* text, Py_ssize_t size, int bits, long long* number) noexcept:
    """Read an integer of at most 18 digits, which cannot overflow, and check that it fits `bits`."""
    cdef bint negative = size > 0 and text[0] == c'-'
    cdef Py_ssize_t at = negative
    cdef long long value = 0
    if not 0 < size - at <= 18:
        return False
    while at < size:
        if not is_digit(text[at]):
            return False
        value = value * 10 + (text[at] - 48)
        at += 1
    number[0] = -value if negative else value
    return bits == 64 or -(1LL << (bits - 1)) <= number[0] < (1LL << (bits - 1))


cdef bint write_float(const unsigned char* text, Py_ssize_t size, bint double_size, Output out) except -1:
    """Python's own reader of floats needs a NUL at the end, and accepts more than digits: inf, nan, blanks."""
    cdef char[LONGEST_FLOAT + 1] copy
    cdef Py_ssize_t at
    cdef unsigned char octet
    cdef double number
    cdef float single
    if not 0 < size <= LONGEST_FLOAT:
        return False
    for at in range(size):
        octet = text[at]
        if not is_digit(octet) and octet not in (c'-', c'+', c'.', c'e'):
            return False
        copy[at] = <char>octet
    copy[size] = 0
    try:
        number = PyOS_string_to_double(copy, NULL, NULL)
    except ValueError:
        return False
    if double_size:
        put_little_endian(<const unsigned char*>&number, 8, out)
        return True
    single = <float>number
    if single - single != 0:  # infinite: the number is too large, which the column's function will say
        return False
    put_little_endian(<const unsigned char*>&single, 4, out)
    return True


cdef int put_little_endian(const unsigned char* number, int size, Output out) except -1:
    """Append a number of this machine, whichever way round it has its bytes."""
    cdef unsigned int probe = 1
    cdef int place
    if (<unsigned char*>&probe)[0] == 1:
        return out.put(number, size)
    for place in range(size):
        out.put_byte(number[size - 1 - place])
    return 0


cdef bint write_text(const unsigned char* text, Py_ssize_t size, Output out) except -1:
    if not is_utf8(text, size):
        return False
    out.put_long(size)
    out.put(text, size)
    return True


cdef Py_ssize_t start_of(const unsigned char* text, Py_ssize_t size, int characters) noexcept:
    """Return how many octets the first `characters` of UTF-8 take: all but those that go on begin one."""
    cdef Py_ssize_t at
    for at in range(size):
        if text[at] & 0xC0 != 0x80:
            if characters == 0:
                return at
            characters -= 1
    return size


cdef bint is_utf8(const unsigned char* text, Py_ssize_t size) noexcept:
    """Whether this is UTF-8 as Python reads it: shortest forms only, no surrogates, nothing above U+10FFFF."""
    cdef Py_ssize_t at = 0
    cdef unsigned long long eight
    cdef unsigned char lead, low, high
    cdef int more
    while at < size:
        if size - at >= 8:
            memcpy(&eight, text + at, 8)
            if eight & 0x8080808080808080ULL == 0:
                at += 8
                continue
        lead = text[at]
        at += 1
        if lead < 0x80:
            continue
        more = 1 if 0xC2 <= lead <= 0xDF else 2 if 0xE0 <= lead <= 0xEF else 3 if 0xF0 <= lead <= 0xF4 else 0
        if more == 0 or size - at < more:
            return False
        # the second octet is what rules out longer forms than need be, surrogates and what is beyond the last plane
        low = 0xA0 if lead == 0xE0 else 0x90 if lead == 0xF0 else 0x80
        high = 0x9F if lead == 0xED else 0x8F if lead == 0xF4 else 0xBF
        if not low <= text[at] <= high:
            return False
        at += 1
        while more > 1:
            if text[at] & 0xC0 != 0x80:
                return False
            at += 1
            more -= 1
    return True


cdef bint write_bytea(const unsigned char* text, Py_ssize_t size, Output out) except -1:
    cdef Py_ssize_t start = out.size, at
    cdef int high, low
    if size < 2 or size % 2 or text[0] != c'\\' or text[1] != c'x':
        return False
    out.put_long((size - 2) // 2)
    out.reserve((size - 2) // 2)
    for at in range(2, size, 2):
        high, low = hex_digit(text[at]), hex_digit(text[at + 1])
        if high < 0 or low < 0:
            out.size = start
            return False
        out.data[out.size] = <unsigned char>(high << 4 | low)
        out.size += 1
    return True


cdef inline int hex_digit(unsigned char octet) noexcept:
    if is_digit(octet):
        return octet - 48
    octet |= 32
    return octet - 87 if c'a' <= octet <= c'f' else -1


cdef bint write_decimal(
    const unsigned char* text, Py_ssize_t size, int scale, bint variable, Output out
) except -1:
    """Append the unscaled integer, as Java's BigInteger has it; before it its scale where that is `variable`."""
    cdef unsigned char[MOST_DIGITS] digits
    cdef int count = 0, fraction = -1  # digits so far, and those of them after the point; -1: no point yet
    cdef bint negative = size > 0 and text[0] == c'-'
    cdef Py_ssize_t at
    for at in range(negative, size):
        if text[at] == c'.' and fraction < 0 and count > 0:
            fraction = 0
        elif is_digit(text[at]) and count < MOST_DIGITS:
            digits[count] = text[at] - 48
            count += 1
            fraction += fraction >= 0
        else:
            return False
    if count == 0 or fraction == 0:
        return False
    return write_digits(digits, count, max(fraction, 0), negative, scale, variable, out)


cdef bint write_digits(
    unsigned char* digits, int count, int fraction, bint negative, int scale, bint variable, Output out
) except -1:
    """Append the unscaled integer of `count` digits, `fraction` of them after the point; there is room for more."""
    if variable:
        while fraction > 0 and digits[count - 1] == 0:
            fraction -= 1
            count -= 1
        out.put_long(fraction)
    else:
        if fraction > scale or count + scale - fraction > MOST_DIGITS:
            return False
        while fraction < scale:
            digits[count] = 0
            fraction += 1
            count += 1
    put_integer(digits, count, negative, out)
    return True


cdef int put_integer(const unsigned char* digits, int count, bint negative, Output out) except -1:
    """Append length and octets of a number: two's complement, big-endian, as few octets as hold it."""
    cdef unsigned int[LIMBS] limbs  # least significant first
    cdef int used = 0, place = 0, step, limb, size
    cdef unsigned long long carry
    while place < count:
        step = min(count - place, 9)
        carry = 0
        for limb in range(step):
            carry = carry * 10 + digits[place + limb]
        for limb in range(used):
            carry += <unsigned long long>limbs[limb] * POWERS[step]
            limbs[limb] = <unsigned int>carry
            carry >>= 32
        if carry:
            limbs[used] = <unsigned int>carry
            used += 1
        place += step
    if used == 0:
        return out.put(b"\x02\x00", 2)
    # for a negative number: the complement of one less
    if negative:
        carry = 1
        for limb in range(used):
            carry = <unsigned long long>limbs[limb] - carry
            limbs[limb] = ~<unsigned int>carry
            carry = carry >> 63
    # octets of the highest limb that say more than the sign does, and one where the sign would not show
    return put_limbs(limbs, used, 0xFF if negative else 0, out)


cdef int put_limbs(const unsigned int* limbs, int used, unsigned char sign, Output out) except -1:
    cdef int size = used * 4
    while size > 0 and octet_of(limbs, size - 1) == sign:
        size -= 1
    if size == 0 or (octet_of(limbs, size - 1) ^ sign) & 0x80:
        out.put_long(size + 1)
        out.put_byte(sign)
    else:
        out.put_long(size)
    while size > 0:
        size -= 1
        out.put_byte(octet_of(limbs, size))
    return 0


cdef inline unsigned char octet_of(const unsigned int* limbs, int place) noexcept:
    return <unsigned char>(limbs[place // 4] >> (8 * (place % 4)))


cdef inline int two_digits(const unsigned char* text) noexcept:
    """Read two digits; -1 where there are none."""
    if is_digit(text[0]) and is_digit(text[1]):
        return (text[0] - 48) * 10 + text[1] - 48
    return -1


cdef bint date(const unsigned char* text, long long* days) noexcept:
    """Read the ten octets YYYY-MM-DD as days since 1970, by eras of 400 years that begin in March."""
    cdef int century = two_digits(text), year = two_digits(text + 2)
    cdef int month = two_digits(text + 5), day = two_digits(text + 8), era, of_year
    if century < 0 or year < 0 or text[4] != c'-' or text[7] != c'-' or not 1 <= month <= 12:
        return False
    year += century * 100
    if not 1 <= day <= DAYS_OF_MONTH[month] or year == 0:
        return False
    if month == 2 and day == 29 and (year % 4 or (year % 100 == 0 and year % 400)):
        return False
    year -= month <= 2
    era = year // 400
    year -= era * 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days[0] = era * 146097 + year * 365 + year // 4 - year // 100 + of_year - 719468
    return True


cdef bint clock(const unsigned char* text, Py_ssize_t size, long long* micros) noexcept:
    """Read HH:MM:SS and up to six digits of a fraction as microseconds since midnight."""
    cdef int hour, minute, second, fraction = 0, at
    if size < 8 or size == 9 or size > 15:
        return False
    hour, minute, second = two_digits(text), two_digits(text + 3), two_digits(text + 6)
    if not 0 <= hour <= 23 or not 0 <= minute <= 59 or not 0 <= second <= 59 or text[2] != c':' or text[5] != c':':
        return False
    if size > 8:
        if text[8] != c'.':
            return False
        for at in range(9, <int>size):
            if not is_digit(text[at]):
                return False
            fraction = fraction * 10 + text[at] - 48
        fraction *= POWERS[15 - size]
    micros[0] = (hour * 3600 + minute * 60 + second) * SECOND + fraction
    return True


cdef bint timestamp(const unsigned char* text, Py_ssize_t size, long long* micros) noexcept:
    """Read a date and a time of day as microseconds since 1970."""
    cdef long long days = 0, of_day = 0
    if size < 19 or text[10] != c' ' or not date(text, &days) or not clock(text + 11, size - 11, &of_day):
        return False
    micros[0] = days * DAY + of_day
    return True


cdef bint write_zoned(const unsigned char* text, Py_ssize_t size, int precision, Output out) except -1:
    """Append the ISO-8601 text of a timestamp at offset +00: a `T`, the fraction padded to the precision, a `Z`."""
    cdef long long micros = 0
    cdef Py_ssize_t plain = size - 3  # without the +00
    cdef Py_ssize_t fraction = max(plain - 20, 0)
    cdef int length = 20 + (precision + 1 if precision > 0 else 0)
    if plain < 19 or text[plain] != c'+' or text[plain + 1] != c'0' or text[plain + 2] != c'0':
        return False
    if fraction > precision or not timestamp(text, plain, &micros):
        return False
    out.put_long(length)
    out.put(text, 10)
    out.put_byte(c'T')
    out.put(text + 11, 8)
    if precision > 0:
        out.put_byte(c'.')
        out.put(text + 20, fraction)
        out.put(b"000000", precision - fraction)
    out.put_byte(c'Z')
    return True
