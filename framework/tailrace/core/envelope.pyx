"""Changes to Kafka records of Debezium's events, by one plan for each version of a table.

    frame    => 0:byte  schema id:int32 big-endian
    key      => frame  pieces of the key columns
    value    => frame  before  after  source  transaction  op  ts_ms  ts_us  ts_ns
    before, after => 0x00 (null)  or  0x02 columns
    transaction   => 0x00 (null)
    ts_*          => 0x02 long

The usual changes are done here: inserts, updates that keep the key, deletes, rows of a snapshot. `Encoder.encode` stops
at any other (a key that moved, a truncate, a row changed by a transform, an event that is no change) and at whatever a
plan declines; its caller does that one in Python, hands over its records, and lets the encoder go on behind it.
"""

from tailrace.core.block cimport Blocks, Topic
from tailrace.core.change cimport ChangeFields
from tailrace.core.cutter cimport Spot
from tailrace.core.output cimport Output
from tailrace.core.row cimport BINLOG, RowPlan
from tailrace.core.rows cimport RowChanges
from tailrace.core.source cimport SourcePlan
from tailrace.core.told cimport RowsEvent, Told

from tailrace.errors import BadRecord

UNSENT_HEADER = b"__tailrace.unavailable"


cdef class TablePlan:
    """Writes the events of one version of a table; `key_frame` is None for a table without a key."""

    cdef RowPlan rows
    cdef SourcePlan source
    cdef Topic topic
    cdef bytes key_frame
    cdef bytes value_frame
    cdef list key
    cdef bint tombstones

    def __cinit__(
        self, RowPlan rows not None, SourcePlan source not None, *, key, bytes key_frame, bytes value_frame not None,
        bint tombstones,
    ):
        self.rows = rows
        self.source = source
        self.key = [int(index) for index in key]
        if any(not 0 <= index < rows.count for index in self.key):
            raise IndexError(self.key)
        self.key_frame = key_frame
        self.value_frame = value_frame
        self.tombstones = tombstones


cdef class Encoder:
    """Encodes batches of changes into blocks of records."""

    cdef readonly Blocks blocks
    cdef Output key
    cdef Output value
    cdef Output headers
    cdef Output stamps
    cdef long long now_ms
    cdef object table  # the one that `plan` is for, while a batch is encoded
    cdef TablePlan plan

    def __cinit__(self, partitions):
        self.blocks = Blocks(partitions)
        self.key = Output()
        self.value = Output()
        self.headers = Output()
        self.stamps = Output()

    def begin(self, now_ns):
        """Begin a batch, and drop what a failed one left; `now_ns` is its processing time, in ns since 1970."""
        self.blocks.take()
        self.key.clear()
        self.value.clear()
        self.now_ms = now_ns // 1000000
        self.stamps.size = 0
        for stamp in (now_ns // 1000000, now_ns // 1000, now_ns):
            self.stamps.put_byte(2)
            self.stamps.put_long(stamp)

    def encode(self, events, Py_ssize_t first, dict plans not None):
        """Encode `events` from the index `first` on; return the index of the first one that is left to the caller.

        `plans` has a `TablePlan` for each `Table`; an event of any other table is left to the caller.
        """
        if isinstance(events, RowChanges):
            return self.encode_rows(<RowChanges>events, first, plans)
        if isinstance(events, Told):
            return self.encode_told(<Told>events, first, plans)
        cdef Py_ssize_t index, count = len(events)
        self.table = None
        for index in range(first, count):
            if not self.one(events[index], plans):
                return index
        return count

    cdef bint one(self, event, dict plans) except -1:
        """Encode one event; False, with nothing written, where that is left to the caller."""
        cdef ChangeFields change
        if not isinstance(event, ChangeFields):
            return False
        change = <ChangeFields>event
        if change.table is not self.table:
            self.plan, self.table = plans.get(change.table), change.table
            if self.plan is not None:
                self.know_topic(self.plan, change.table)
        if self.plan is None or change.moved:
            return False
        try:
            return self.change(self.plan, change, change.op, change.before_wire, change.after_wire)
        except BadRecord:  # the caller's own attempt will say where and why
            return False

    cdef Py_ssize_t encode_told(self, Told told, Py_ssize_t first, dict plans) except -1:
        """Do what `encode` does, without a change for each row of the binlog."""
        cdef Py_ssize_t place = told.place_of(first), index = first, begin
        self.table = None
        while index < told.count:
            piece = told.pieces[place]
            if type(piece) is RowsEvent:
                begin = told.begin_of(place)
                index = begin + self.encode_event(told, <RowsEvent>piece, (index - begin, told.end_of(place) - begin), plans)
                if index < told.end_of(place):
                    return index
            elif not self.one(piece, plans):
                return index
            else:
                index += 1
            place += 1
        return index

    cdef Py_ssize_t encode_event(self, Told told, RowsEvent event, (Py_ssize_t, Py_ssize_t) rows, dict plans) except -1:
        """Encode the rows from one to before another; return which was the first that is left to the caller."""
        cdef TablePlan plan = plans.get(event.table)
        cdef Py_ssize_t row = rows[0], start
        if plan is None or plan.rows.layout != BINLOG or plan.rows.count != event.cutter.count:
            return row
        self.know_topic(plan, event.table)
        start = told.start_of(event, row)
        try:
            if not plan.source.knows(event.origin, event.table):
                return row
            while row < rows[1]:
                if not self.image(plan, event, start, told.spot_of(event, row)):
                    break
                plan.source.write_steady(event.at + row, self.value)
                self.finish(plan, <unsigned char>ord(event.op), event.op == "d" and plan.tombstones)
                start = told.spot_of(event, row).end
                row += 1
        except BadRecord:  # as above
            pass
        return row

    cdef bint image(self, TablePlan plan, RowsEvent event, Py_ssize_t start, const Spot* spot) except -1:
        """Write the rows of one change; False where that is left to the caller."""
        cdef const unsigned char* octets = event.octets
        cdef const unsigned char* present = octets + event.present
        cdef const unsigned char* present_after = present
        cdef bint before = event.op != "c", after = event.op != "d"
        self.value.size = 0
        self.value.put_bytes(plan.value_frame)
        if before and not plan.rows.cut_image(present, octets + start, spot.middle - start, True):
            return False
        if before and after:
            present_after = octets + event.present_after
            if event.cutter.moves(present, octets + start, present_after, octets + spot.middle):
                return False
            start = spot.middle
        if after and not plan.rows.cut_image(present_after, octets + start, spot.end - start, False):
            return False
        if before and after:
            plan.rows.lend()
        return self.rows_of(plan.rows, before, after)

    cdef Py_ssize_t encode_rows(self, RowChanges changes, Py_ssize_t first, dict plans) except -1:
        """Do what `encode` does, without a change for each row."""
        cdef ChangeFields pattern = changes.pattern
        cdef TablePlan plan = plans.get(pattern.table)
        cdef const unsigned char* octets = changes.rows.octets
        cdef Py_ssize_t index, start, end
        if plan is None:
            return first
        self.know_topic(plan, pattern.table)
        start = changes.rows.start_of(first)
        for index in range(first, changes.rows.count):
            end = changes.rows.end_of(index)
            try:
                if not self.row(plan, pattern, octets + start, end - start):
                    return index
            except BadRecord:  # as above
                return index
            start = end
        return changes.rows.count

    cdef int know_topic(self, TablePlan plan, table) except -1:
        if plan.topic is None:
            plan.topic = self.blocks.topic(table.topic)
        return 0

    def append(self, record):
        """Add a record that was made elsewhere, behind those encoded so far."""
        self.blocks.append(record)

    def take(self):
        """Return the blocks of the batch."""
        return self.blocks.take()

    cdef bint change(self, TablePlan plan, ChangeFields change, str op, bytes before, bytes after) except -1:
        """Encode one change; False, with nothing written, where that is left to the caller."""
        cdef RowPlan rows = plan.rows
        cdef Output value = self.value
        cdef bint deletes = op == "d"
        if deletes:
            if before is None or after is not None:
                return False
        elif after is None or op not in ("c", "u", "r"):
            return False
        value.size = 0
        value.put_bytes(plan.value_frame)
        if before is not None and not rows.cut(before, len(before), True):
            return False
        if after is not None:
            if not rows.cut(after, len(after), False):
                return False
            if before is not None:
                rows.lend()
        if not self.rows_of(rows, before is not None, after is not None):
            return False
        plan.source.write(change, value)
        return self.finish(plan, <unsigned char>ord(op), deletes and plan.tombstones)

    cdef bint row(
        self, TablePlan plan, ChangeFields pattern, const unsigned char* octets, Py_ssize_t size
    ) except -1:
        """Encode one row of a snapshot, otherwise as `change`."""
        self.value.size = 0
        self.value.put_bytes(plan.value_frame)
        if not plan.rows.cut(octets, size, False) or not self.rows_of(plan.rows, False, True):
            return False
        plan.source.write(pattern, self.value)
        return self.finish(plan, c"r", False)

    cdef bint finish(self, TablePlan plan, unsigned char op, bint tombstone) except -1:
        """Add what goes with the rows and the source block that were written."""
        cdef Output value = self.value
        self.key_of(plan)
        value.put_byte(0)
        value.put_byte(2)
        value.put_byte(op)
        value.put(self.stamps.data, self.stamps.size)
        self.add(plan, tombstone)
        return True

    cdef bint rows_of(self, RowPlan rows, bint before, bint after) except -1:
        if before:
            self.value.put_byte(2)
            if not rows.write_before(self.value):
                return False
        else:
            self.value.put_byte(0)
        if after:
            self.value.put_byte(2)
            return rows.write_after(self.value)
        self.value.put_byte(0)
        return True

    cdef int key_of(self, TablePlan plan) except -1:
        """Put the key together from the pieces of the row that was written last."""
        cdef int index
        self.key.size = 0
        if plan.key_frame is None:
            return 0
        self.key.put_bytes(plan.key_frame)
        for index in plan.key:
            self.key.put(
                self.value.data + plan.rows.columns[index].start,
                plan.rows.columns[index].end - plan.rows.columns[index].start,
            )
        return 0

    cdef int add(self, TablePlan plan, bint tombstone) except -1:
        """Add the record, and after it the tombstone that goes with it."""
        cdef Output headers = self.unsent_header(plan.rows)
        cdef Py_ssize_t key_size = -1 if plan.key_frame is None else self.key.size
        self.blocks.add(
            plan.topic, self.now_ms, self.key.data, key_size, self.value.data, self.value.size, headers
        )
        if tombstone:
            self.blocks.add(plan.topic, self.now_ms, self.key.data, key_size, NULL, -1, headers)
        return 0

    cdef Output unsent_header(self, RowPlan rows):
        """Return the header that names the columns that were not sent; None where there are none."""
        if not rows.unsent:
            return None
        cdef Output out = self.headers
        cdef bytes names = b"[" + b",".join(rows.unsent) + b"]"
        out.size = 0
        out.put_long(1)
        out.put_long(len(UNSENT_HEADER))
        out.put_bytes(UNSENT_HEADER)
        out.put_long(len(names))
        out.put_bytes(names)
        return out
