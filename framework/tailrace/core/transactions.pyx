"""Whole transactions of MySQL's binlog, from GTID to commit, as far as all their events are at hand and plain.

    MySQL        GTID · BEGIN · (table map · rows*)* · XID
    compressed   GTID · payload: all that follows the GTID, as `tailrace_mysql.payload` draws it
    MariaDB      GTID · (table map · rows*)* · XID

A transaction with anything else, in another order, of an unknown table, or damaged is left to the Python twin as a
whole (`tailrace_mysql.stream`; the formats are drawn in `tailrace_mysql.marker` and `tailrace_mysql.query`).
"""

from tailrace.core.cutter cimport number_of
from tailrace.core.events import cut_events
from tailrace.core.input cimport Input
from tailrace.core.told cimport Told, is_rows, take_event, take_map

cdef enum:
    HEADER = 19
    QUERY = 2
    XID = 16
    TABLE_MAP = 19
    GTID = 33
    PAYLOAD = 40
    MARIADB_GTID = 162
    ARTIFICIAL = 0x20
    LEAST_GTID = 68  # octets, up to the commit time,
    LONG_GTID = 75  # and up to the original one, where that is another
    LEAST_MARIADB_GTID = 32
    GROUP_COMMIT = 2
    SPECIAL = 1 | 64 | 128  # a statement of its own, or about an XA branch
    ENGINES = 1
    QUERY_HEAD = 13
    LONGEST_PAYLOAD = 1 << 20  # octets, decompressed: longer ones are told bit by bit
    ZSTD = 0
    PAYLOAD_SIZE = 1  # the fields of a payload
    PAYLOAD_ALGORITHM = 2
    PAYLOAD_DECOMPRESSED = 3

cdef unsigned long long ORIGINAL_TIME = 1ULL << 55
cdef unsigned long long MOST = 1ULL << 62


cdef class Whole:
    """Transactions that were taken, in one go.

    `runs` names them: sources' uuids (16 octets), first and last number; of MariaDB domain, server and last number.
    `size` is their octets, `end` where the last of them ends (u32), `time` when it was committed, in microseconds since 1970.
    """

    cdef readonly list runs
    cdef readonly Py_ssize_t size
    cdef readonly unsigned int end
    cdef readonly unsigned long long time
    cdef bint named

    def __cinit__(self, bint named=False):
        self.runs = []
        self.named = named


def take_transactions(
    front, dict bodies not None, origin_of, Told events not None, Py_ssize_t most, Py_ssize_t most_bytes, *,
    bint named, decompress,
):
    """Move whole transactions from `front`, a deque of events, into `events`, as changes; return what they were.

    `bodies` has a `Mapped` by what table maps say. `origin_of(time, server id, name, thread, packed)` makes the origin
    of a transaction's changes, named by uuid and number, or by domain, server and number; `packed` is None or, of a
    compressed one, where that ends (u32) and its size. Takes none with which `events` would have more than `most`
    entries, and none after `most_bytes`. The time of a transaction of MySQL is that of its first commit only where
    GTIDs count, `named`. `decompress(octets, size)` gives so many octets out of those of zstd, None where it cannot.
    """
    cdef Whole whole = Whole(named)
    cdef list transaction = []
    cdef Py_ssize_t taken = 0, count
    cdef bytes event
    cdef unsigned char type_
    for waiting in front:
        if type(waiting) is not bytes:
            break
        event = waiting
        type_ = kind_of(event)
        if transaction:
            if not is_rows(type_) and type_ not in (QUERY, XID, TABLE_MAP, PAYLOAD):
                break
        elif type_ != GTID and type_ != MARIADB_GTID:
            break
        transaction.append(event)
        if type_ == XID or type_ == PAYLOAD:
            count = len(transaction)
            if type_ == PAYLOAD and not unpack(transaction, decompress):
                break
            if not take_transaction(whole, transaction, event, bodies, origin_of, events, most):
                break
            taken += count
            transaction = []
            if events.count >= most or whole.size >= most_bytes:
                break
    while taken > 0:
        front.popleft()
        taken -= 1
    return whole


cdef inline unsigned char kind_of(bytes event) noexcept:
    """Return the type of an event that is in a file; 0 for any other, and for what is too short for one."""
    cdef const unsigned char* octets = event
    if len(event) < HEADER or octets[17] & ARTIFICIAL or number_of(octets + 13, 4) == 0:
        return 0
    return octets[4]


cdef inline unsigned char bare_kind_of(bytes event) noexcept:
    """Return the type of an event that may have come out of another one, and so have no place of its own."""
    cdef const unsigned char* octets = event
    return 0 if len(event) < HEADER or octets[17] & ARTIFICIAL else octets[4]


cdef bint take_transaction(
    Whole whole, list transaction, bytes last, dict bodies, origin_of, Told events, Py_ssize_t most
) except -1:
    """Append the changes of one transaction; False, with nothing appended, where it is left to Python.

    `last` is the last of its events that is in the file: the XID or what this came out of.
    """
    cdef bytes event = transaction[0]
    cdef bint mysql = kind_of(event) == GTID
    cdef unsigned long long time = 0
    cdef Py_ssize_t before = len(events.pieces), first = 2 if mysql else 1, index, size = 0
    cdef dict tables = {}
    thread = packed = None
    if len(transaction) <= first or len(<bytes>transaction[len(transaction) - 1]) < HEADER + 8:
        return False
    if last is not transaction[len(transaction) - 1]:
        packed = number_of(<const unsigned char*>last + 13, 4), number_of(<const unsigned char*>last + 9, 4)
        size += len(last)
    run = mysql_run(event, &time) if mysql else mariadb_run(event)
    if time == 0 or not whole.named:
        time = number_of(<const unsigned char*>event, 4) * 1000000
    if mysql:
        thread = thread_of(transaction[1])
    if run is None or (mysql and thread is None) or time == 0:
        return False
    origin = origin_of(time, number_of(<const unsigned char*>event + 5, 4), run, thread, packed)
    for index in range(first, len(transaction) - 1):
        event = transaction[index]
        if not take_map(event, tables, bodies) and not take_event(event, tables, origin, events, most):
            events.cut_off(before)
            return False
    for event in transaction:
        size += len(event)
    whole.size += size
    whole.end = <unsigned int>number_of(<const unsigned char*>last + 13, 4)
    whole.time = time
    note(whole.runs, run, mysql)
    return True


cdef tuple mysql_run(bytes event, unsigned long long* time):
    """Return what a GTID names, and when the transaction was committed at first; None where it is left to Python."""
    cdef const unsigned char* octets = event
    cdef unsigned long long committed, number
    if len(event) < LEAST_GTID or octets[44] != 2:
        return None
    number = number_of(octets + 36, 8)
    committed = number_of(octets + 61, 7)
    if not committed & ORIGINAL_TIME:
        time[0] = committed
    elif len(event) >= LONG_GTID:
        time[0] = number_of(octets + 68, 7)
    else:
        return None
    if not 0 < number < MOST:
        return None
    return event[20:36], number, number


cdef tuple mariadb_run(bytes event):
    """The same for MariaDB, which does not tell the time here."""
    cdef const unsigned char* octets = event
    cdef Py_ssize_t at = LEAST_MARIADB_GTID
    cdef unsigned long long number
    if len(event) < at or octets[31] & SPECIAL:
        return None
    if octets[31] & GROUP_COMMIT:
        at += 8
    if len(event) < at or (len(event) > at and (octets[at] & ~<int>ENGINES or len(event) == at + 1)):
        return None
    number = number_of(octets + 19, 8)
    return number_of(octets + 27, 4), number_of(octets + 5, 4), number


cdef object thread_of(bytes event):
    """Return the thread of a BEGIN, None for any other event. Its variables matter to nobody, and are not read."""
    cdef const unsigned char* octets = event
    cdef Py_ssize_t size = len(event), at = HEADER + QUERY_HEAD, name, index
    if bare_kind_of(event) != QUERY or size < at:
        return None
    name = octets[HEADER + 8]
    at += <Py_ssize_t>number_of(octets + HEADER + 11, 2)
    if size != at + name + 6 or event[at + name :] != b"\0BEGIN":
        return None
    for index in range(at, at + name):
        if octets[index] & 0x80:
            return None
    return number_of(octets + HEADER, 4)


cdef bint unpack(list transaction, decompress) except -1:
    """Put what the last event of a transaction was made of in its place; False where that is left to Python."""
    cdef bytes event = transaction.pop(), block
    cdef Input fields
    cdef unsigned long long algorithm = 255, packed = 0, size = 0
    cdef list events = []
    if len(transaction) != 1 or kind_of(transaction[0]) != GTID:
        return False
    fields.at = <const unsigned char*>event + HEADER
    fields.end = <const unsigned char*>event + len(event)
    if not read_fields(&fields, &packed, &algorithm, &size) or packed != <size_t>(fields.end - fields.at):
        return False
    if algorithm != ZSTD or not 0 < size <= LONGEST_PAYLOAD:
        return False
    block = decompress(event[len(event) - <Py_ssize_t>packed :], size)
    if block is None or len(block) != <Py_ssize_t>size:
        return False
    try:
        if cut_events(block, events) != len(block):
            return False
    except ValueError:  # Python will meet it, too
        return False
    if not events or bare_kind_of(events[len(events) - 1]) != XID:
        return False
    transaction.extend(events)
    return True


cdef bint read_fields(
    Input* fields, unsigned long long* packed, unsigned long long* algorithm, unsigned long long* size
) noexcept:
    """Read the fields before the octets of a payload; False where they are not the usual ones."""
    cdef unsigned long long field, length, number
    cdef const unsigned char* end
    while True:
        if not read_lenenc(fields, &field):
            return False
        if field == 0:
            return True
        if not read_lenenc(fields, &length) or length > <size_t>(fields.end - fields.at):
            return False
        end = fields.at + length
        if not read_lenenc(fields, &number) or fields.at > end:
            return False
        fields.at = end
        if field == PAYLOAD_SIZE:
            packed[0] = number
        elif field == PAYLOAD_ALGORITHM:
            algorithm[0] = number
        elif field == PAYLOAD_DECOMPRESSED:
            size[0] = number
        else:
            return False


cdef bint read_lenenc(Input* fields, unsigned long long* number) noexcept:
    """Take a length-encoded number; False where it is cut short, or is none."""
    cdef int width
    if fields.at >= fields.end:
        return False
    number[0] = fields.at[0]
    fields.at += 1
    if number[0] < 0xFB:
        return True
    width = 2 if number[0] == 0xFC else 3 if number[0] == 0xFD else 8
    if number[0] == 0xFB or number[0] == 0xFF or fields.end - fields.at < width:
        return False
    number[0] = number_of(fields.at, width)
    fields.at += width
    return True


cdef int note(list runs, tuple run, bint mysql) except -1:
    """Add a transaction to those that were taken, to the run before it where it follows on that."""
    cdef tuple last
    if runs:
        last = runs[len(runs) - 1]
        if mysql and last[0] == run[0] and last[2] + 1 == run[1]:
            runs[len(runs) - 1] = (last[0], last[1], run[2])
            return 0
        if not mysql and last[0] == run[0]:
            runs[len(runs) - 1] = run
            return 0
    runs.append(run)
    return 0
