"""Rows out of COPY, as the snapshot reads them: one row in each message.

    text     => line newline
    binary   => [Header] row                      the header before the first row, or before the trailer
                [Header] -1:int16                 the trailer
    Header   => "PGCOPY\\n\\xff\\r\\n\\0" flags:int32 size:int32 extension

Nothing here looks into a row: `row.pyx` cuts it. Source: Postgres manual, chapter 55 (COPY operations), COPY.
"""

from libc.string cimport memcmp

from tailrace.core.messages cimport Messages, messages_of
from tailrace.core.rows cimport RowQueue

cdef enum:
    SIGNATURE_SIZE = 11
    HEADER = 19  # signature, flags, size of the extension

cdef const char* SIGNATURE = b"PGCOPY\n\xff\r\n\0"


def drain_lines(get_copy_data, RowQueue rows not None, Py_ssize_t most):
    """Append up to `most` lines to `rows`, without their newlines.

    Returns what `get_copy_data` gave at last, if that was no line; None: there were `most`.
    """
    cdef Py_ssize_t count = 0
    cdef Messages messages = messages_of(get_copy_data)
    while count < most:
        if not messages.next():
            return messages.got
        rows.put(messages.octets, max(messages.size - 1, 0))
        count += 1
    messages.drop()
    return None


def drain_rows(get_copy_data, RowQueue rows not None, Py_ssize_t most):
    """Append up to `most` rows of binary COPY to `rows`; without the header and the trailer.

    Returns what `drain_lines` does. A header that is cut short stays where it is: no row begins like it.
    """
    cdef Py_ssize_t count = 0, start
    cdef Messages messages = messages_of(get_copy_data)
    cdef const unsigned char* octets
    while count < most:
        if not messages.next():
            return messages.got
        octets = messages.octets
        start = header_end(octets, messages.size)
        if messages.size - start == 2 and octets[start] == 0xFF and octets[start + 1] == 0xFF:
            continue
        if messages.size == start:
            continue
        rows.put(octets + start, messages.size - start)
        count += 1
    messages.drop()
    return None


cdef Py_ssize_t header_end(const unsigned char* octets, Py_ssize_t size) noexcept:
    """Return where the header ends that a message begins with; 0 where there is none."""
    cdef Py_ssize_t extension
    if size < HEADER or memcmp(octets, SIGNATURE, SIGNATURE_SIZE) != 0:
        return 0
    extension = <Py_ssize_t>octets[15] << 24 | octets[16] << 16 | octets[17] << 8 | octets[18]
    return HEADER + extension if extension <= size - HEADER else 0
