"""Octets to be read, and Avro's and Kafka's variable-length integers: every read checked against the end."""

cdef struct Input:
    const unsigned char* at
    const unsigned char* end


cdef inline bint read_long(Input* octets, long long* number) noexcept nogil:
    """Take a zig-zag varint; False where it is cut short, or has more than 64 bits."""
    cdef unsigned long long value = 0, octet
    cdef int shift = 0
    while octets.at < octets.end:
        octet = octets.at[0]
        octets.at += 1
        if shift == 63 and octet > 1:
            return False
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            number[0] = <long long>(value >> 1) ^ -<long long>(value & 1)
            return True
        shift += 7
    return False


cdef inline const unsigned char* take(Input* octets, long long size) noexcept nogil:
    """Step over `size` octets and return where they begin; NULL where there are not so many, or `size` is negative."""
    cdef const unsigned char* start = octets.at
    if not 0 <= size <= octets.end - octets.at:
        return NULL
    octets.at += size
    return start
