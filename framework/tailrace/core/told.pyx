"""What a stream of MySQL's binlog tells: events in order, and rows without an object for any of them.

    event   => timestamp u32 · type u8 · server id u32 · size u32 · end position u32 · flags u16 · table id u48 ·
               flags u16 · [v2: size of the extra data u16 · extra data] · columns lenenc · present bits ·
               [update: present bits after] · images, which MariaDB may deflate
    images  => image* or, of an update, (image before, image after)*
    wire    => present bits, one for each column · image

Rows events are taken as they came, and cut into rows (`cutter.pyx`). A row is a change for whoever looks at it; who does
not look is the encoder (`envelope.pyx`), as long as it can do it by itself. What is not plain is left to the Python twin
(`tailrace_mysql.rows`, which draws the format), which tells its changes one by one.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcpy

from tailrace.core.change cimport ChangeFields, new_change
from tailrace.core.cutter cimport Cutter, Mapped, Spot, number_of
from tailrace.core.output cimport Output

from zlib import decompressobj, error as ZlibError

cdef enum:
    HEADER = 19
    TABLE_MAP = 19
    ARTIFICIAL = 0x20  # a flag: the event is in no file
    LARGEST = 1 << 18  # octets of an event: the rows of a larger one are told bit by bit
    LARGEST_INFLATED = 1 << 20


@cython.freelist(64)
cdef class RowsEvent:
    """The rows of one event. Who makes it sets all that it has."""


cdef class Told:
    """Events in order, a sequence; rows are made changes of the class `kind` when they are asked for."""

    def __cinit__(self, type kind not None):
        self.kind = kind
        self.pieces = []
        self.ends = Output()
        self.spots = Output()

    def __len__(self):
        return self.count

    def __getitem__(self, Py_ssize_t index):
        """Return an event; negative indexes count from the end."""
        cdef Py_ssize_t place
        if index < 0:
            index += self.count
        if not 0 <= index < self.count:
            raise IndexError(index)
        place = self.place_of(index)
        piece = self.pieces[place]
        if type(piece) is not RowsEvent:
            return piece
        return self.change_of(<RowsEvent>piece, index - self.begin_of(place))

    def append(self, event):
        """Add an event."""
        self.put(event, 1)

    def extend(self, events):
        """Add events."""
        for event in events:
            self.put(event, 1)

    cdef int put(self, piece, Py_ssize_t count) except -1:
        """Add a piece that stands for so many events."""
        self.count += count
        self.ends.put(<const unsigned char*>&self.count, sizeof(Py_ssize_t))
        self.pieces.append(piece)
        return 0

    cdef bint put_rows(self, RowsEvent event) except -1:
        """Add rows, all that lie behind its `start`; False, with nothing added, where they cannot be cut."""
        cdef const unsigned char* octets = event.octets
        cdef const unsigned char* after = octets + event.present_after if event.present_after >= 0 else NULL
        cdef Py_ssize_t before = self.spots.size
        event.first = before // <Py_ssize_t>sizeof(Spot)
        if not event.cutter.cut(octets + event.present, after, octets, event.start, len(event.octets), self.spots):
            self.spots.size = before
            return False
        if self.spots.size > before:
            self.put(event, (self.spots.size - before) // <Py_ssize_t>sizeof(Spot))
        return True

    cdef int cut_off(self, Py_ssize_t pieces) except -1:
        """Forget all but so many pieces."""
        del self.pieces[pieces:]
        self.ends.size = pieces * <Py_ssize_t>sizeof(Py_ssize_t)
        self.count = self.begin_of(pieces)
        return 0

    cdef Py_ssize_t place_of(self, Py_ssize_t index) noexcept:
        """Return which piece an event is in."""
        cdef Py_ssize_t low = 0, high = len(self.pieces), middle
        while low < high:
            middle = (low + high) // 2
            if self.end_of(middle) <= index:
                low = middle + 1
            else:
                high = middle
        return low

    cdef Py_ssize_t begin_of(self, Py_ssize_t place) noexcept:
        return 0 if place == 0 else self.end_of(place - 1)

    cdef Py_ssize_t end_of(self, Py_ssize_t place) noexcept:
        return (<const Py_ssize_t*>self.ends.data)[place]

    cdef Py_ssize_t start_of(self, RowsEvent event, Py_ssize_t row) noexcept:
        """Return where the images of a row begin."""
        return event.start if row == 0 else self.spot_of(event, row - 1).end

    cdef const Spot* spot_of(self, RowsEvent event, Py_ssize_t row) noexcept:
        return <const Spot*>self.spots.data + event.first + row

    cdef ChangeFields change_of(self, RowsEvent event, Py_ssize_t row):
        cdef const unsigned char* octets = event.octets
        cdef const Spot* spot = self.spot_of(event, row)
        cdef Py_ssize_t start = self.start_of(event, row), width = event.cutter.octets
        cdef bytes before = None, after = None
        cdef ChangeFields change
        if event.op != "c":
            before = wire(octets + event.present, width, octets + start, spot.middle - start)
        if event.op == "u":
            after = wire(octets + event.present_after, width, octets + spot.middle, spot.end - spot.middle)
        elif event.op == "c":
            after = wire(octets + event.present, width, octets + start, spot.end - start)
        change = new_change(self.kind, event.table, event.op, before, after, event.origin, event.at + row)
        if event.op == "u":
            change.moved = event.cutter.moves(
                octets + event.present, octets + start, octets + event.present_after, octets + spot.middle
            )
        return change


def take_rows(
    backlog, tuple maps not None, origin, Told events not None, Py_ssize_t most, Py_ssize_t most_bytes
):
    """Move rows events from the front of `backlog`, a deque of events, into `events`, as changes of `origin`.

    `maps` are two dictionaries: a `Mapped` by table id, and by what a table map says of the table. Table maps that are
    known by the second are taken, too, and noted in the first. Stops before the first event that is left to Python, as is one with which
    `events` would have more than `most` entries, or once `most_bytes` were taken. Returns how many changes there are
    more, the octets that were taken, and where the last of those events ends (u32), -1 if there was none.
    """
    cdef dict tables, bodies
    tables, bodies = maps
    cdef Py_ssize_t before = events.count, size = 0
    cdef long long end = -1, position
    cdef bytes event
    while backlog and events.count < most and size < most_bytes:
        if type(backlog[0]) is not bytes:
            break
        event = backlog[0]
        if not take_map(event, tables, bodies) and not take_event(event, tables, origin, events, most):
            break
        size += len(event)
        position = <long long>number_of(<const unsigned char*>event + 13, 4)
        if position:
            end = position
        backlog.popleft()
    return events.count - before, size, end


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


cdef bint take_event(bytes event, dict tables, origin, Told events, Py_ssize_t most) except -1:
    """Append the rows of an event; False, with nothing appended, where it is left to Python."""
    cdef const unsigned char* octets = event
    cdef Py_ssize_t size = len(event), at = HEADER + 8, before = len(events.pieces)
    cdef int type_ = octets[4] if size >= HEADER + 10 else 0
    cdef Mapped mapped
    cdef RowsEvent rows
    cdef bint deflated = type_ > 165
    if not is_rows(type_) or size > LARGEST:
        return False
    if deflated:
        type_ -= 143 if type_ <= 168 else 139
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
        type_ -= 7
    if at >= size or octets[at] != mapped.cutter.count or mapped.cutter.count > 250:
        return False  # more columns need a longer number, and are rare
    rows = rows_event(mapped, "c" if type_ == 23 else "u" if type_ == 24 else "d", event, at + 1)
    if rows.start > size:
        return False
    if deflated and not inflate(rows):
        return False
    rows.origin = origin
    rows.at = <long long>((number_of(octets + 13, 4) - number_of(octets + 9, 4)) & 0xFFFFFFFF) << 24
    if events.put_rows(rows) and events.count <= most:
        return True
    events.cut_off(before)
    return False


cdef bint inflate(RowsEvent rows) except -1:
    """Put what its images were deflated from in their place; False where that is left to Python."""
    cdef bytes event = rows.octets, images
    cdef const unsigned char* octets = event
    cdef Py_ssize_t at = rows.start, size = 0, end
    if at >= len(event) or octets[at] & 0xF0 != 0x80 or len(event) - at <= octets[at] & 7:
        return False
    end = at + 1 + (octets[at] & 7)
    for at in range(at + 1, end):
        size = size << 8 | octets[at]
        if size > LARGEST_INFLATED:
            return False
    try:
        images = decompressobj().decompress(event[end:], size + 1)
    except ZlibError:  # Python will meet it, too
        return False
    if len(images) != size:
        return False
    rows.octets = event[rows.present : rows.start] + images
    rows.start -= rows.present
    if rows.present_after >= 0:
        rows.present_after -= rows.present
    rows.present = 0
    return True


cdef RowsEvent rows_event(Mapped mapped, str op, bytes octets, Py_ssize_t present):
    """Return rows of a table whose present bits begin at `present`, and their images behind these."""
    cdef RowsEvent rows = RowsEvent.__new__(RowsEvent)
    rows.table, rows.cutter = mapped.table, mapped.cutter
    rows.op = op
    rows.octets = octets
    rows.present = present
    rows.present_after = present + rows.cutter.octets if op == "u" else -1
    rows.start = present + rows.cutter.octets * (2 if op == "u" else 1)
    return rows


def cut_changes(Mapped mapped not None, type kind not None, str op not None, tuple images not None, origin, at):
    """Return rows of `mapped` as changes, or None where they cannot be cut.

    `kind` is the class of changes, `op` one of c, u and d, `images` the present bits, those of the rows after an
    update, and the rows. `at` is that of the first change; each has one more than the one before it.
    """
    cdef bytes present, present_after, data
    cdef Told told = Told(kind)
    cdef RowsEvent rows
    present, present_after, data = images
    if len(present) != mapped.cutter.octets or len(present_after) != (mapped.cutter.octets if op == "u" else 0):
        return None
    rows = rows_event(mapped, op, present + present_after + data, 0)
    rows.origin, rows.at = origin, at
    return list(told) if told.put_rows(rows) else None


cdef bytes wire(const unsigned char* present, Py_ssize_t width, const unsigned char* image, Py_ssize_t size):
    """Return the present bits and an image."""
    cdef bytes row = PyBytes_FromStringAndSize(NULL, width + size)
    memcpy(PyBytes_AS_STRING(row), <const char*>present, <size_t>width)
    memcpy(PyBytes_AS_STRING(row) + width, <const char*>image, <size_t>size)
    return row
