"""The decimal digits of a big-endian integer of few octets."""

cdef enum:
    MOST_DIGITS = 18  # of a scale: then a number of 64 bits, point and sign fit into DIGITS characters
    DIGITS = 40


cdef inline unsigned long long magnitude_of(const unsigned char* octets, Py_ssize_t size) noexcept:
    """Return a number of 1 to 8 octets in two's complement without its sign, which is the first octet's highest bit."""
    cdef bint negative = octets[0] >= 0x80
    cdef unsigned long long number = 0
    cdef Py_ssize_t place
    if negative:
        number = ~number
    for place in range(size):
        number = number << 8 | octets[place]
    return 0 - number if negative else number


cdef inline int digits_of(const unsigned char* octets, Py_ssize_t size, int scale, char* text) noexcept:
    """Write a number of 1 to 8 octets in two's complement at the end of `text`; return where it begins.

    `scale` of its digits, at most MOST_DIGITS, stand behind the point. `text` has room for DIGITS characters.
    """
    cdef int at = DIGITS, digits = 0
    cdef bint negative = octets[0] >= 0x80
    cdef unsigned long long number = magnitude_of(octets, size)
    while number or digits <= scale:
        if digits == scale and scale:
            at -= 1
            text[at] = c'.'
        at -= 1
        text[at] = <char>(c'0' + number % 10)
        number //= 10
        digits += 1
    if negative:
        at -= 1
        text[at] = c'-'
    return at
