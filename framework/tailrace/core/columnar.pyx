"""Avro binary to columns: the buffers of Arrow's columnar format, by a plan that is made once for each schema.

Records are appended one after the other; `take` gives the buffers of all of them, and begins anew.
A record that is not as the plan says is refused; the columns are then as if it had never come.
Sources: Avro specification 1.11, "Binary Encoding"; Arrow Columnar Format 1.4.
"""

cimport cython
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memcpy

from tailrace.core.column cimport (
    BOOLEAN, CHANGE, DECIMAL, INSTANT, INTEGER, LIST, MAP, MOST_OCTETS, NOTHING, OCTETS, REAL, RECORD, TEXT, UUID,
    VARIABLE_DECIMAL, Column, Kind, cut, pad, put_offset, put_sized, take_column
)
from tailrace.core.digits cimport DIGITS, MOST_DIGITS, digits_of
from tailrace.core.fixed cimport decimal_of, uuid_of
from tailrace.core.input cimport Input, read_long, take
from tailrace.core.instant cimport instant_of


class Malformed(ValueError):
    """The bytes are not what the plan says."""


@cython.final
cdef class Columns:
    """The columns of records of one schema, by the plan of that schema."""

    cdef Column root
    cdef readonly Py_ssize_t size  # about how many octets have been taken in since the last take

    def __cinit__(self, plan not None):
        self.root = Column(plan)
        if self.root.kind not in (RECORD, CHANGE) or self.root.nullable:
            raise ValueError(plan.kind)

    @property
    def rows(self):
        return self.root.length

    def extend(self, list values not None, Py_ssize_t start, Py_ssize_t first):
        """Append the records that take all of each of `values` from `start` on, beginning with the value at `first`.

        Returns the place of the first that is no such record, or how many values there are.
        """
        cdef Py_ssize_t place
        for place in range(first, len(values)):
            if not self.append(values[place], start):
                return place
        return len(values)

    cdef bint append(self, bytes data, Py_ssize_t start) except -1:
        cdef Py_ssize_t before = self.root.length
        cdef Input octets
        octets.at = data
        octets.end = octets.at + len(data)
        try:
            if take(&octets, start) == NULL:
                raise Malformed
            read_value(self.root, &octets)
            if octets.at != octets.end:
                raise Malformed
        except (ValueError, ArithmeticError):
            cut(self.root, before)
            return False
        except BaseException:
            cut(self.root, before)
            raise
        self.size += len(data)
        return True

    def forget(self, Py_ssize_t row, tuple path not None):
        """Make a null of a record's value at `path`: places among members, of structs alone, to what is nullable."""
        cdef Column column = self.root
        cdef Py_ssize_t place
        for place in path:
            if column.kind not in (RECORD, CHANGE) or not 0 <= place < len(column.members):
                raise ValueError(path)
            column = <Column>column.members[place]
        if not column.nullable or not 0 <= row < self.root.length:
            raise ValueError(path)
        if row < column.length and column.validity.data[row]:
            column.validity.data[row] = 0
            column.nulls += 1

    def take(self):
        """Return the columns, and begin anew: (length, nulls, validity or None, values, offsets, members)."""
        taken = take_column(self.root, self.root.length)
        self.size = 0
        return taken


cdef int read_value(Column column, Input* octets) except -1:
    """Append one value."""
    if column.skipped:
        return skip_value(column, octets)
    if column.null_branch >= 0 and is_null(column, octets):
        return pad(column, 1, True)
    return read_present(column, octets)


cdef int read_present(Column column, Input* octets) except -1:
    """Append a value that is no null."""
    cdef Kind kind = column.kind
    if kind == NOTHING:
        return pad(column, 1, True)
    if kind == DECIMAL or kind == UUID:
        return read_fixed(column, octets)
    if kind == RECORD:
        read_record(column, octets)
    elif kind == CHANGE:
        read_change(column, octets)
    elif kind == INTEGER:
        read_integer(column, octets)
    elif kind == TEXT:
        read_text(column, octets)
    else:
        read_rarer(column, octets)
    if column.nullable:
        column.validity.put_byte(1)
    column.length += 1
    return 0


cdef int read_rarer(Column column, Input* octets) except -1:
    cdef const unsigned char* start
    cdef Py_ssize_t size
    cdef long long number
    if column.kind == BOOLEAN:
        start = some(octets, 1)
        if start[0] > 1:
            raise Malformed
        column.values.put(start, 1)
    elif column.kind == REAL:
        column.values.put(some(octets, column.width), column.width)
    elif column.kind == OCTETS:
        start = sized(octets, &size)
        put_sized(column, start, size, octets.end)
    elif column.kind == INSTANT:
        start = sized(octets, &size)
        if not instant_of(start, size, &number):
            raise Malformed
        column.values.put_little(number, 8)
    elif column.kind == VARIABLE_DECIMAL:
        read_variable_decimal(column, octets)
    else:
        read_items(column, octets)
    return 0


cdef inline int read_integer(Column column, Input* octets) except -1:
    """Append a number of `width` octets, least significant first, as Arrow has them on all machines that matter."""
    cdef long long number = number_of(octets)
    cdef int spare = <int>(64 - 8 * column.width)
    if (<long long>(<unsigned long long>number << spare)) >> spare != number:
        raise Malformed
    column.values.put_little(number, column.width)
    return 0


cdef int read_text(Column column, Input* octets) except -1:
    cdef Py_ssize_t size
    cdef const unsigned char* start = sized(octets, &size)
    if not is_ascii(start, size):
        PyUnicode_DecodeUTF8(<const char*>start, size, NULL)  # raises what is a ValueError
    return put_sized(column, start, size, octets.end)


cdef bint is_ascii(const unsigned char* start, Py_ssize_t size) noexcept:
    cdef unsigned long long word, found = 0
    cdef Py_ssize_t place = 0
    while size - place >= 8:
        memcpy(&word, start + place, 8)
        found |= word
        place += 8
    while place < size:
        found |= start[place]
        place += 1
    return not found & 0x8080808080808080ULL


cdef int read_fixed(Column column, Input* octets) except -1:
    """Append the 16 octets of a decimal of at most `parameter` digits, or of a UUID.

    What has no octets is made a null: a decimal that is NaN, and what stands where there is no UUID.
    """
    cdef Py_ssize_t size
    cdef unsigned char value[16]
    cdef bint sound
    cdef const unsigned char* start = sized(octets, &size)
    if size == 0 and column.nullable:
        return pad(column, 1, True)
    if column.kind == DECIMAL:
        sound = decimal_of(start, size, <int>column.parameter, value)
    else:
        sound = uuid_of(start, size, value)
    if not sound:
        raise Malformed
    column.values.put(value, 16)
    if column.nullable:
        column.validity.put_byte(1)
    column.length += 1
    return 0


cdef int read_variable_decimal(Column column, Input* octets) except -1:
    """Append `scale` and `value` as text; `parameter` is 1 where the value stands first, -1-n: the scale is n.

    What is larger than usual is left to `convert`.
    """
    cdef long long scale = 0
    cdef Py_ssize_t size
    cdef int at
    cdef char text[DIGITS]
    cdef const unsigned char* start
    cdef bytes converted
    if column.parameter == 0:
        scale = number_of(octets)
    start = sized(octets, &size)
    if column.parameter == 1:
        scale = number_of(octets)
    elif column.parameter < 0:
        scale = -1 - column.parameter
    if 0 < size <= 8 and 0 <= scale <= MOST_DIGITS:
        at = digits_of(start, size, <int>scale, text)
        return put_sized(column, <const unsigned char*>text + at, DIGITS - at, <const unsigned char*>text + DIGITS)
    converted = column.convert(scale, <bytes>start[:size])
    start = converted
    return put_sized(column, start, len(converted), start + len(converted))


cdef int read_record(Column column, Input* octets) except -1:
    """Append a value to every member; those that lag behind are filled first."""
    cdef Column member
    cdef Py_ssize_t index
    for index in range(len(column.members)):
        member = <Column>column.members[index]
        if member.length < column.length and not member.skipped:
            pad(member, column.length - member.length, False)
        read_value(member, octets)
    return 0


cdef int read_change(Column column, Input* octets) except -1:
    """Append an envelope, of whose two rows one is kept: the row after the change or, where there is none, before it.

    The first member is `before`, which is never filled; that at `parameter` is `after`.
    """
    cdef Column member, row = <Column>column.members[column.parameter]
    cdef Input before
    cdef Py_ssize_t index
    cdef bint null, was
    before.at = before.end = octets.at
    for index in range(len(column.members)):
        member = <Column>column.members[index]
        if index == 0:
            null = is_null(row, octets)
            before.at = octets.at
            if not null:
                skip_present(row, octets)
            before.end = octets.at
            was = not null
            continue
        if member.length < column.length and not member.skipped:
            pad(member, column.length - member.length, False)
        if index != column.parameter:
            read_value(member, octets)
        elif not is_null(row, octets):
            read_present(row, octets)
        elif was:
            read_present(row, &before)
        else:
            pad(row, 1, True)
    return 0


cdef int read_items(Column column, Input* octets) except -1:
    """Append a list, or a map, whose members are its keys and its values."""
    cdef Column items = <Column>column.members[len(column.members) - 1]
    cdef Column keys = <Column>column.members[0]
    cdef long long count = block(octets)
    while count:
        while count:
            if column.kind == MAP:
                read_present(keys, octets)
            read_value(items, octets)
            count -= 1
        count = block(octets)
    if items.length > MOST_OCTETS:
        raise Malformed
    return put_offset(column, items.length)


cdef inline bint is_null(Column column, Input* octets) except -1:
    """Take the branch of a union with null."""
    cdef const unsigned char* octet = take(octets, 1)
    if octet == NULL or (octet[0] != 0 and octet[0] != 2):
        raise Malformed
    return octet[0] == (0 if column.null_branch == 0 else 2)


cdef inline const unsigned char* some(Input* octets, Py_ssize_t size) except NULL:
    cdef const unsigned char* start = take(octets, size)
    if start == NULL:
        raise Malformed
    return start


cdef inline long long number_of(Input* octets) except? -1:
    cdef long long number
    if octets.at < octets.end and octets.at[0] < 0x80:  # most are of one octet
        number = octets.at[0]
        octets.at += 1
        return (number >> 1) ^ -(number & 1)
    if not read_long(octets, &number):
        raise Malformed
    return number


cdef inline const unsigned char* sized(Input* octets, Py_ssize_t* size) except NULL:
    """Take a length, and as many octets; return where they begin."""
    cdef long long length = number_of(octets)
    size[0] = <Py_ssize_t>length
    return some(octets, length)


cdef long long block(Input* octets) except? -1:
    """Take the count that begins a block of items; 0 ends them. Every item takes an octet at least."""
    cdef long long count = number_of(octets)
    if count < 0:
        count = -(count + 1)  # the lowest number has no positive one
        if count >= octets.end - octets.at:
            raise Malformed
        number_of(octets)
        count += 1
    if count > octets.end - octets.at:
        raise Malformed
    return count


cdef int skip_value(Column column, Input* octets) except -1:
    if column.null_branch >= 0 and is_null(column, octets):
        return 0
    return skip_present(column, octets)


cdef int skip_present(Column column, Input* octets) except -1:
    """Step over a value."""
    cdef Py_ssize_t size
    cdef Kind kind = column.kind
    cdef Column member
    if kind == INTEGER:
        number_of(octets)
    elif kind in (OCTETS, TEXT, DECIMAL, UUID, INSTANT):
        sized(octets, &size)
    elif kind == BOOLEAN or kind == REAL:
        some(octets, column.width)
    elif kind == RECORD:
        for member in column.members:
            skip_value(member, octets)
    elif kind == VARIABLE_DECIMAL:
        if column.parameter == 0:
            number_of(octets)
        sized(octets, &size)
        if column.parameter == 1:
            number_of(octets)
    elif kind in (LIST, MAP):
        skip_items(column, octets)
    return 0


cdef int skip_items(Column column, Input* octets) except -1:
    cdef Py_ssize_t size
    cdef long long count = block(octets)
    while count:
        while count:
            if column.kind == MAP:
                sized(octets, &size)
            skip_value(<Column>column.members[len(column.members) - 1], octets)
            count -= 1
        count = block(octets)
    return 0
