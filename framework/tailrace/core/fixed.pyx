"""Values of 16 octets: decimals as Arrow's decimal128 has them, and UUIDs. Of no use from Python."""

from libc.string cimport memcpy, memset


cdef bint decimal_of(const unsigned char* start, Py_ssize_t size, int digits, unsigned char* number) noexcept:
    """Turn a big-endian number in two's complement into 16 octets, least significant first.

    False where it has no octets, or more than `digits` digits.
    """
    cdef Py_ssize_t place
    cdef unsigned char sign
    if size <= 0:
        return False
    sign = 0xFF if start[0] >= 0x80 else 0
    while size > 16 and start[0] == sign and (start[1] ^ sign) < 0x80:
        start += 1
        size -= 1
    if size > 16:
        return False
    memset(number, sign, 16)
    for place in range(size):
        number[place] = start[size - 1 - place]
    return fits_word(number, digits) if size <= 8 else fits(number, digits)


cdef bint fits_word(const unsigned char* number, int digits) noexcept:
    """Whether a number that 8 octets hold has at most so many digits."""
    cdef long long value
    cdef unsigned long long most = 1
    cdef int place
    if digits > 18:
        return True
    memcpy(&value, number, 8)
    for place in range(digits):
        most *= 10
    return (<unsigned long long>value if value >= 0 else 0 - <unsigned long long>value) < most


cdef bint fits(const unsigned char* number, int digits) noexcept:
    """Whether a number of 16 octets has at most so many digits: it is divided by ten as long as there are any."""
    cdef unsigned int parts[4]
    cdef unsigned long long rest
    cdef int place, count = 0
    cdef bint negative = number[15] >= 0x80
    cdef unsigned long long carry = 1
    memcpy(parts, number, 16)
    if negative:
        for place in range(4):
            carry += <unsigned int>~parts[place]
            parts[place] = <unsigned int>carry
            carry >>= 32
    while parts[0] or parts[1] or parts[2] or parts[3]:
        rest = 0
        for place in range(3, -1, -1):
            rest = rest << 32 | parts[place]
            parts[place] = <unsigned int>(rest // 10)
            rest = rest % 10
        count += 1
        if count > digits:
            return False
    return True


cdef int hexadecimal(unsigned char octet) noexcept:
    """Return the number that a digit stands for; -1 where it is none."""
    if c'0' <= octet <= c'9':
        return octet - c'0'
    octet |= 0x20
    return octet - c'a' + 10 if c'a' <= octet <= c'f' else -1


cdef bint uuid_of(const unsigned char* text, Py_ssize_t size, unsigned char* uuid) noexcept:
    """Turn a text of 8, 4, 4, 4 and 12 hexadecimal digits, dashes between them, into 16 octets; False for any other."""
    cdef Py_ssize_t place = 0
    cdef int index, high, low
    if size != 36:
        return False
    for index in range(16):
        if place in (8, 13, 18, 23):
            if text[place] != c'-':
                return False
            place += 1
        high, low = hexadecimal(text[place]), hexadecimal(text[place + 1])
        if high < 0 or low < 0:
            return False
        uuid[index] = <unsigned char>(high << 4 | low)
        place += 2
    return True
