"""Events of MySQL's binlog, cut out of what they come in: packets of the dump, or a block of a compressed transaction.

    packet  => length u24 · sequence number u8 · 0 · event · CRC-32 of the event u32
    event   => timestamp u32 · type u8 · server id u32 · size u32 · end position u32 · flags u16 · body

Both functions take what is plain, and stop before anything else: a packet that is an error, an end or a part of a longer
one, an event whose checksum does not fit, a format description. Their Python twins (`tailrace_mysql.packet`,
`tailrace_mysql.dump`, `tailrace_mysql.payload`) handle that, or say what is wrong with it.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize

from zlib import crc32

cdef enum:
    PACKET_HEADER = 4
    LONGEST = 0xFFFFFF
    EVENT_HEADER = 19
    CHECKSUM = 4
    FORMAT_DESCRIPTION = 15


def take_events(
    bytearray buffer not None, tuple place not None, int sequence, list events not None, Py_ssize_t most,
    Py_ssize_t most_bytes,
):
    """Append the events of packets, without checksums: at most `most`, none after `most_bytes` octets.

    `place` is where the packets begin and end, of which the last may be cut short. `sequence` is the number of the next packet. Returns where the first packet begins that was not taken, and its number.
    """
    cdef const unsigned char* octets = buffer
    cdef Py_ssize_t at = place[0], end = place[1], length, size = 0
    cdef bytes event
    if not 0 <= at <= end <= len(buffer):
        raise IndexError(place)
    while end - at >= PACKET_HEADER and len(events) < most and size < most_bytes:
        length = <Py_ssize_t>little_endian(octets + at, 3)
        if length == LONGEST or length > end - at - PACKET_HEADER or octets[at + 3] != sequence:
            break
        if length < 1 + EVENT_HEADER + CHECKSUM or octets[at + 4] != 0 or octets[at + 9] == FORMAT_DESCRIPTION:
            break
        event = PyBytes_FromStringAndSize(<const char*>octets + at + 5, length - 1 - CHECKSUM)
        if <unsigned long>crc32(event) != little_endian(octets + at + length, CHECKSUM):
            break
        events.append(event)
        size += length
        at += PACKET_HEADER + length
        sequence = (sequence + 1) & 0xFF
    return at, sequence


def cut_events(bytes block not None, list events not None):
    """Append the events that stand whole at the front of `block`; return where the first begins that does not.

    Raises ValueError for an event that is shorter than its header.
    """
    cdef const unsigned char* octets = block
    cdef Py_ssize_t end = len(block), at = 0, size
    while end - at >= EVENT_HEADER:
        size = <Py_ssize_t>little_endian(octets + at + 9, 4)
        if size < EVENT_HEADER:
            raise ValueError(f"an event has {size} octets")
        if size > end - at:
            break
        events.append(PyBytes_FromStringAndSize(<const char*>octets + at, size))
        at += size
    return at


cdef inline unsigned long long little_endian(const unsigned char* octets, int size) noexcept:
    """Read a number of at most 8 octets."""
    cdef unsigned long long number = 0
    cdef int place
    for place in range(size):
        number |= <unsigned long long>octets[place] << (8 * place)
    return number
