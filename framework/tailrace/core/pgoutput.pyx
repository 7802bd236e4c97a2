"""Rows out of Postgres' replication stream: the messages that come by the thousand, and no other.

    XLogData  => 'w'  start:int64  end of the server's log:int64  server's clock:int64  message
    Insert    => 'I'  relation:int32                                  'N' TupleData
    Update    => 'U'  relation:int32  [('K' | 'O') TupleData]         'N' TupleData
    Delete    => 'D'  relation:int32   ('K' | 'O') TupleData

Both functions stop at the first message that is anything else, or malformed, or asks for thought: its Python twin
(`tailrace_postgres.replication`, `tailrace_postgres.stream`) handles that one, or says what is wrong with it.
Source: Postgres manual, chapter 55 (streaming replication protocol, logical replication message formats).
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcmp, memcpy

from tailrace.core.change cimport ChangeFields, new_change
from tailrace.core.messages cimport Messages, messages_of

cdef enum:
    XLOG_HEADER = 25


@cython.final
@cython.freelist(256)
cdef class Received:
    """One message of the stream; `data` None: a keep-alive, up to whose `lsn` all commits have been sent."""

    cdef readonly unsigned long long lsn
    cdef readonly bytes data

    def __cinit__(self, unsigned long long lsn, bytes data):
        self.lsn = lsn
        self.data = data


@cython.final
cdef class Plain:
    """A relation whose changes need no judgement. `table` None: they concern nobody. `key` are the key's columns."""

    cdef object table
    cdef bytes key  # one octet for each column, 1 for those of the key

    def __cinit__(self, table):
        self.table = table
        self.key = b"" if table is None else bytes([place in table.key for place in table.on_the_wire])


def drain(get_copy_data, list received not None, Py_ssize_t most, Py_ssize_t most_bytes):
    """Append XLogData to `received` until there are `most` of them, or `most_bytes`, or something else comes.

    Returns what `get_copy_data` gave at last, which was not taken (None: the bounds were reached), and the bytes taken.
    """
    cdef Py_ssize_t size = 0
    cdef Messages messages = messages_of(get_copy_data)
    cdef const unsigned char* octets
    while len(received) < most and size < most_bytes:
        if not messages.next():
            return messages.got, size
        octets = messages.octets
        if messages.size < XLOG_HEADER or octets[0] != c'w':
            other = PyBytes_FromStringAndSize(<const char*>octets, messages.size)
            messages.drop()
            return (len(other), memoryview(other)), size
        message = PyBytes_FromStringAndSize(<const char*>octets + XLOG_HEADER, messages.size - XLOG_HEADER)
        received.append(Received(big_endian(octets + 1, 8), message))
        size += messages.size
    messages.drop()
    return None, size


def take_rows(
    backlog, dict relations not None, type kind not None, origin, list events not None, Py_ssize_t most,
    Py_ssize_t most_bytes,
):
    """Move row changes from the front of `backlog`, a deque of `Received`, into `events`, as changes of `origin`.

    `kind` is the class of changes; `relations` has a `Plain` by oid. Stops before the first message that is left to Python, or once `events` has `most`
    entries or `most_bytes` were taken. Returns how many messages were taken, and their bytes.
    """
    cdef Py_ssize_t count = 0, size = 0
    cdef Received received
    while backlog and len(events) < most and size < most_bytes:
        received = backlog[0]
        if received.data is None or not take_row(received, relations, kind, origin, events):
            break
        size += len(received.data)
        count += 1
        backlog.popleft()
    return count, size


cdef bint take_row(Received received, dict relations, type kind, origin, list events) except -1:
    """Append the change that a message is; False where it is left to Python."""
    cdef const unsigned char* message = received.data
    cdef Py_ssize_t size = len(received.data), start, end = 0, borrowed = 0
    cdef bint moved = False
    cdef ChangeFields change
    cdef bytes old = None, new = None
    if size < 8 or message[0] not in (c'I', c'U', c'D'):
        return False
    plain = relations.get(big_endian(message + 1, 4))
    if plain is None:
        return False
    cdef Plain relation = <Plain?>plain
    start = 5
    if message[0] != c'I' and (message[5] == c'K' or message[5] == c'O'):
        end = tuple_end(message, 6, size)
        if end < 0:
            return False
        old = received.data[6:end]
        start = end
    if message[0] != c'D':
        if start >= size or message[start] != c'N' or tuple_end(message, start + 1, size) != size:
            return False
        new = received.data[start + 1 :]
    elif old is None or start != size:
        return False
    if relation.table is None:
        return True
    if old is not None and new is not None:
        if not compared(relation, old, new, &moved, &borrowed):
            return False
        if borrowed > 0:
            new = filled(old, new, borrowed)
    op = "c" if message[0] == c'I' else "u" if message[0] == c'U' else "d"
    change = new_change(kind, relation.table, op, old, new, origin, received.lsn)
    change.moved = moved
    events.append(change)
    return True


cdef inline unsigned long long big_endian(const unsigned char* octets, int size) noexcept:
    cdef unsigned long long number = 0
    cdef int place
    for place in range(size):
        number = number << 8 | octets[place]
    return number


cdef Py_ssize_t tuple_end(const unsigned char* message, Py_ssize_t at, Py_ssize_t size) noexcept:
    """Return where the TupleData at `at` ends; -1 where it is cut short, or has a column of unknown kind."""
    cdef Py_ssize_t columns
    if size - at < 2:
        return -1
    columns = <Py_ssize_t>big_endian(message + at, 2)
    at += 2
    while columns > 0:
        at = cell_end(message, at, size)
        if at < 0:
            return -1
        columns -= 1
    return at


cdef Py_ssize_t cell_end(const unsigned char* message, Py_ssize_t at, Py_ssize_t size) noexcept:
    if at >= size:
        return -1
    if message[at] == c'n' or message[at] == c'u':
        return at + 1
    if not is_value(message[at]) or size - at < 5:
        return -1
    at += 5 + <Py_ssize_t>big_endian(message + at + 1, 4)
    return at if at <= size else -1


cdef inline bint is_value(unsigned char kind) noexcept:
    return kind == c't' or kind == c'b'


cdef bint compared(Plain relation, bytes old, bytes new, bint* moved, Py_ssize_t* borrowed) except -1:
    """Compare two rows; False where it cannot be said whether they have the same key.

    `moved` becomes whether they have different ones, `borrowed` what `new` grows by with the values that it lacks and
    `old` has.
    """
    cdef const unsigned char* before = old
    cdef const unsigned char* after = new
    cdef const unsigned char* key = relation.key
    cdef Py_ssize_t at = 2, other = 2, end, other_end, index
    cdef Py_ssize_t columns = len(relation.key)
    cdef bint whole = True  # the key, in both rows
    moved[0] = False
    borrowed[0] = 0
    if <Py_ssize_t>big_endian(before, 2) != columns or <Py_ssize_t>big_endian(after, 2) != columns:
        return False
    for index in range(columns):
        end, other_end = cell_end(before, at, len(old)), cell_end(after, other, len(new))
        if after[other] == c'u' and is_value(before[at]):
            borrowed[0] += end - at - 1
        elif key[index] and (
            after[other] == c'u' or end - at != other_end - other or memcmp(before + at, after + other, end - at) != 0
        ):
            if not is_value(before[at]) or before[at] != after[other]:
                return False
            moved[0] = True
        whole &= not key[index] or is_value(before[at])
        at, other = end, other_end
    return whole or not moved[0]


cdef bytes filled(bytes old, bytes new, Py_ssize_t borrowed):
    """Return `new` with the values that it lacks and `old` has, `borrowed` octets longer; both are whole, and fit."""
    cdef bytes whole = PyBytes_FromStringAndSize(NULL, len(new) + borrowed)
    cdef const unsigned char* before = old
    cdef const unsigned char* after = new
    cdef unsigned char* out = <unsigned char*><char*>whole
    cdef Py_ssize_t at = 2, other = 2, end, other_end, done = 2
    memcpy(out, after, 2)
    while other < len(new):
        end, other_end = cell_end(before, at, len(old)), cell_end(after, other, len(new))
        if after[other] == c'u' and is_value(before[at]):
            memcpy(out + done, before + at, end - at)
            done += end - at
        else:
            memcpy(out + done, after + other, other_end - other)
            done += other_end - other
        at, other = end, other_end
    return whole
