"""The rows of an event of MySQL's binlog: cut apart, and made into changes, without a look at what they say.

    event   => timestamp u32 · type u8 · server id u32 · size u32 · end position u32 · flags u16 · table id u48 ·
               flags u16 · [v2: size of the extra data u16 · extra data] · columns lenenc · present bits ·
               [update: present bits after] · images
    images  => image* or, of an update, (image before, image after)*
    image   => null bits, one for each column that is present · cells of those that are present and not null
    wire    => present bits, one for each column · image

Where the octets are not what the widths say, `changes` gives up, and its Python twin (`tailrace_mysql.rows`, which draws
the format) does the event, or says what is wrong with it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from tailrace.core.change cimport ChangeFields, new_change

cdef enum:
    WIDEST = 1 << 16
    HEADER = 19
    TABLE_MAP = 19
    ARTIFICIAL = 0x20  # a flag: the event is in no file
    LARGEST = 1 << 18  # octets of an event: the rows of a larger one are told bit by bit


cdef class Cutter:
    """Cuts the rows of one version of a table.

    `widths` are those of its columns' cells: octets or, negative, octets of the length before them. `key` are the
    indexes of the key's columns.
    """

    def __cinit__(self, widths, key):
        self.count = len(widths)
        self.octets = (self.count + 7) // 8
        self.widths = <int*>calloc(self.count + 1, sizeof(int))
        self.keys = <unsigned char*>calloc(self.count + 1, 1)
        if self.widths == NULL or self.keys == NULL:
            raise MemoryError
        cdef int index
        for index, width in enumerate(widths):
            if not -4 <= width <= WIDEST:
                raise ValueError(width)
            self.widths[index] = width
        for index in key:
            if not 0 <= index < self.count:
                raise IndexError(index)
            self.keys[index] = 1

    def __dealloc__(self):
        free(self.widths)
        free(self.keys)

    def changes(self, type kind not None, table, op, tuple images not None, origin, at):
        """Return the rows of an event as changes, or None where they cannot be cut.

        `kind` is the class of changes, `op` one of c, u and d, `images` the present bits, those of the rows after an
        update, and the rows. `at` is that of the first change; each has one more than the one before it.
        """
        cdef bytes present, present_after, data
        present, present_after, data = images
        cdef list changes = []
        if len(present) != self.octets or (op == "u" and len(present_after) != self.octets):
            return None
        fits = self.cut(kind, table, op, (present, present_after), data, 0, origin, at, changes)
        return changes if fits else None

    cdef bint cut(
        self, type kind, table, str op, tuple bits, bytes data, Py_ssize_t start, origin, at, list changes
    ) except -1:
        """Append the rows of `data` from `start` on to `changes`; False, with some of them there, where they cannot be cut."""
        cdef const unsigned char* octets = data
        cdef Py_ssize_t size = len(data), middle, end
        cdef bint updates = op == "u"
        cdef bytes present = bits[0], present_after = bits[1], before = None, after = None
        cdef ChangeFields change
        while start < size:
            middle = end = self.end(present, octets, start, size)
            if updates and middle >= 0:
                end = self.end(present_after, octets, middle, size)
            if end < 0 or end == start:
                return False
            if op != "c":
                before = wire(present, octets, start, middle)
            if op != "d":
                after = wire(present_after if updates else present, octets, middle if updates else start, end)
            change = new_change(kind, table, op, before, after, origin, at)
            if updates:
                change.moved = self.moves(before, after)
            changes.append(change)
            start = end
            at += 1
        return True

    cdef Py_ssize_t end(
        self, const unsigned char* present, const unsigned char* data, Py_ssize_t at, Py_ssize_t size
    ) noexcept:
        """Return where the image at `at` ends, -1 where it does not end before `size`."""
        cdef const unsigned char* nulls = data + at
        cdef int index, bit = 0, width
        cdef Py_ssize_t length
        at += (count_of(present, self.count) + 7) // 8
        if at > size:
            return -1
        for index in range(self.count):
            if not present[index >> 3] >> (index & 7) & 1:
                continue
            if not nulls[bit >> 3] >> (bit & 7) & 1:
                width = self.widths[index]
                if width < 0:
                    if at - width > size:
                        return -1
                    length = length_of(data + at, -width)
                    at -= width
                else:
                    length = width
                if length > size - at:
                    return -1
                at += length
            bit += 1
        return at

    cdef bint moves(self, bytes before, bytes after) except -1:
        """Whether an update, whose rows are cut already, gave the key another value.

        A column that the row after does not have was left alone.
        """
        cdef const unsigned char* old = before
        cdef const unsigned char* new = after
        cdef const unsigned char* old_nulls = old + self.octets
        cdef const unsigned char* new_nulls = new + self.octets
        cdef Py_ssize_t old_at = self.octets + (count_of(old, self.count) + 7) // 8
        cdef Py_ssize_t new_at = self.octets + (count_of(new, self.count) + 7) // 8
        cdef Py_ssize_t old_size, new_size
        cdef int index, old_bit = 0, new_bit = 0
        for index in range(self.count):
            old_size = self.cell_size(index, old, old_nulls, &old_bit, old + old_at)
            new_size = self.cell_size(index, new, new_nulls, &new_bit, new + new_at)
            if self.keys[index] and new_size >= 0:
                if old_size != new_size or memcmp(old + old_at, new + new_at, <size_t>new_size) != 0:
                    return True
            old_at += max(old_size, 0)
            new_at += max(new_size, 0)
        return False

    cdef Py_ssize_t cell_size(
        self, int index, const unsigned char* present, const unsigned char* nulls, int* bit, const unsigned char* cell
    ) noexcept:
        """Return the octets of a cell with its length, -1 where it is null or not there; count its null bit."""
        cdef int width = self.widths[index]
        if not present[index >> 3] >> (index & 7) & 1:
            return -1
        bit[0] += 1
        if nulls[(bit[0] - 1) >> 3] >> ((bit[0] - 1) & 7) & 1:
            return -1
        return width if width >= 0 else length_of(cell, -width) - width


cdef class Mapped:
    """What a table id of the binlog stands for. `table` None: its rows concern nobody. `owner` is the caller's own."""

    def __cinit__(self, table, cutter, owner=None):
        self.owner = owner
        self.table = table
        self.cutter = <Cutter?>cutter


def take_rows(
    backlog, tuple maps not None, type kind not None, origin, list events not None, Py_ssize_t most,
    Py_ssize_t most_bytes,
):
    """Move rows events from the front of `backlog`, a deque of events, into `events`, as changes of `origin`.

    `maps` are two dictionaries: a `Mapped` by table id, and by what a table map says of the table. Table maps that are known by the second are
    taken, too, and noted in the first. Stops before the first event that is left to Python, as is one with which
    `events` would have more than `most` entries, or once `most_bytes` were taken. Returns how many changes there are more, the octets that were taken, and
    where the last of those events ends (u32), -1 if there was none.
    """
    cdef dict tables, bodies
    tables, bodies = maps
    cdef Py_ssize_t before = len(events), size = 0
    cdef long long end = -1, position
    cdef bytes event
    while backlog and len(events) < most and size < most_bytes:
        if type(backlog[0]) is not bytes:
            break
        event = backlog[0]
        if not take_map(event, tables, bodies) and not take_event(event, tables, kind, origin, events, most):
            break
        size += len(event)
        position = <long long>number_of(<const unsigned char*>event + 13, 4)
        if position:
            end = position
        backlog.popleft()
    return len(events) - before, size, end


cdef bint take_map(bytes event, dict tables, dict bodies) except -1:
    """Note what a table map says whose table is known; False where it is left to Python, or is none."""
    cdef const unsigned char* octets = event
    if len(event) < HEADER + 8 or octets[4] != TABLE_MAP or octets[17] & ARTIFICIAL:
        return False
    mapped = bodies.get(event[HEADER + 8 :])
    if mapped is None:
        return False
    tables[number_of(octets + HEADER, 6)] = <Mapped?>mapped
    return True


cdef bint take_event(bytes event, dict tables, type kind, origin, list events, Py_ssize_t most) except -1:
    """Append the changes of an event; False, with nothing appended, where it is left to Python."""
    cdef const unsigned char* octets = event
    cdef Py_ssize_t size = len(event), at = HEADER + 8, before = len(events), width
    cdef int type_ = octets[4] if size >= HEADER + 10 else 0
    cdef Mapped mapped
    cdef str op
    if not (23 <= type_ <= 25 or 30 <= type_ <= 32) or size > LARGEST:
        return False
    found = tables.get(number_of(octets + HEADER, 6))
    if found is None:
        return False
    mapped = <Mapped?>found
    if mapped.table is None:
        return True
    if type_ >= 30:
        if number_of(octets + at, 2) < 2:
            return False
        at += <Py_ssize_t>number_of(octets + at, 2)
        op = "c" if type_ == 30 else "u" if type_ == 31 else "d"
    else:
        op = "c" if type_ == 23 else "u" if type_ == 24 else "d"
    if at >= size or octets[at] != mapped.cutter.count or mapped.cutter.count > 250:
        return False  # more columns need a longer number, and are rare
    at += 1
    width = mapped.cutter.octets
    if at + (2 * width if op == "u" else width) > size:
        return False
    bits = (event[at : at + width], event[at + width : at + 2 * width])
    at += 2 * width if op == "u" else width
    place = (number_of(octets + 13, 4) - number_of(octets + 9, 4)) & 0xFFFFFFFF
    fits = mapped.cutter.cut(kind, mapped.table, op, bits, event, at, origin, place << 24, events)
    if fits and len(events) <= most:
        return True
    del events[before:]
    return False


cdef int count_of(const unsigned char* bits, int count) noexcept:
    """Count the bits that are set, of the first `count`."""
    cdef int index, found = 0
    for index in range(count):
        found += bits[index >> 3] >> (index & 7) & 1
    return found


cdef inline Py_ssize_t length_of(const unsigned char* octets, int size) noexcept:
    """Read a little-endian number of 1 to 4 octets."""
    cdef Py_ssize_t number = 0
    cdef int place
    for place in range(size):
        number |= <Py_ssize_t>octets[place] << (8 * place)
    return number


cdef bytes wire(bytes present, const unsigned char* data, Py_ssize_t start, Py_ssize_t end):
    """Return the present bits and an image."""
    cdef Py_ssize_t size = len(present)
    cdef bytes row = PyBytes_FromStringAndSize(NULL, size + end - start)
    memcpy(PyBytes_AS_STRING(row), <const char*>present, <size_t>size)
    memcpy(PyBytes_AS_STRING(row) + size, data + start, <size_t>(end - start))
    return row
