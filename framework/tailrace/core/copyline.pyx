r"""Envelopes in Avro to lines of Postgres' COPY in its text format, without a Python value in between.

    line => cell (TAB cell)* LF
    cell => \N | text with \\ \n \r \t escaped

Gives up with ValueError where the bytes are not what the plan says, and where a value has no usual form (an infinite
timestamp, a year beyond 9999, a decimal of more than 64 bits, a zero character): its Python twin, the sink's own writer,
takes the delivery then, or says what is wrong with it. Both give the same lines: tests/properties/test_core_copyline.py.
Source: Postgres manual, COPY, "Text Format"; Avro specification 1.11, "Binary Encoding".
"""

cimport cython
from cpython.mem cimport PyMem_Free
from libc.string cimport memcpy

from tailrace.core.digits cimport DIGITS, MOST_DIGITS, digits_of
from tailrace.core.input cimport Input, read_long, take
from tailrace.core.moment cimport put_date, put_integer, put_time, put_timestamp
from tailrace.core.output cimport Output

cdef extern from "Python.h":
    char* PyOS_double_to_string(double number, char format_code, int precision, int flags, int* kind) except NULL

cdef enum Kind:
    NOTHING
    BOOLEAN
    INTEGER
    FLOAT
    DOUBLE
    OCTETS
    TEXT
    RECORD
    ARRAY
    MAP
    OPTIONAL
    DECIMAL
    DATE
    TIME
    TIMESTAMP
    ZONED
    PLAIN

cdef enum:
    MOST_COLUMNS = 256  # tables with more are left to Python

KINDS = {
    "null": NOTHING,
    "boolean": BOOLEAN,
    "integer": INTEGER,
    "float": FLOAT,
    "double": DOUBLE,
    "bytes": OCTETS,
    "text": TEXT,
    "record": RECORD,
    "variable_decimal": RECORD,
    "array": ARRAY,
    "map": MAP,
    "optional": OPTIONAL,
    "decimal": DECIMAL,
    "date": DATE,
    "time": TIME,
    "timestamp": TIMESTAMP,
    "zoned": ZONED,
    "plain": PLAIN,
}


class Unusual(ValueError):
    """Left to Python; never seen by users."""


@cython.final
cdef class LineWriter:
    """Writes the `after` of envelopes, by a `LinePlan` (see `tailrace.core.plan`)."""

    cdef Node root
    cdef Py_ssize_t after
    cdef Py_ssize_t op
    cdef int forms[MOST_COLUMNS]
    cdef int scales[MOST_COLUMNS]
    cdef Output out

    def __cinit__(self, plan not None):
        cdef Node after
        cdef Py_ssize_t place
        self.root = Node(plan.envelope)
        self.after, self.op = plan.after, plan.op
        self.out = Output()
        if self.root.kind != RECORD or not 0 <= self.after < self.op < len(self.root.members):
            raise ValueError("envelope")
        after = <Node>self.root.members[self.after]
        if after.kind != OPTIONAL or len((<Node>after.members[0]).members) != len(plan.forms):
            raise ValueError("columns")
        if len(plan.forms) > MOST_COLUMNS:
            raise ValueError("too many columns")
        for place, (form, scale) in enumerate(plan.forms):
            self.forms[place], self.scales[place] = KINDS[form], scale

    def line(self, bytes data not None, Py_ssize_t start):
        """Return the op, and the line of the row after the change, None where there is none; raises ValueError."""
        cdef Input octets
        cdef Py_ssize_t place
        cdef bint there = False
        cdef const unsigned char* op = NULL
        octets.at = data
        octets.end = octets.at + len(data)
        if take(&octets, start) == NULL:
            raise Unusual
        self.out.clear()
        for place in range(self.op):
            if place == self.after:
                there = self.row(<Node>self.root.members[place], &octets)
            else:
                skip(<Node>self.root.members[place], &octets)
        if integer(&octets) != 1:
            raise Unusual
        op = take(&octets, 1)
        if op == NULL:
            raise Unusual
        return chr(op[0]), self.out.octets(0, self.out.size) if there else None

    cdef bint row(self, Node node, Input* octets) except -1:
        cdef Py_ssize_t place
        cdef Node column
        if is_null(node, octets):
            return False
        node = <Node>node.members[0]
        for place in range(len(node.members)):
            if place:
                self.out.put_byte(c"\t")
            column = <Node>node.members[place]
            if column.kind == OPTIONAL:
                if is_null(column, octets):
                    self.out.put(<const unsigned char*>b"\\N", 2)
                    continue
            self.cell(self.forms[place], self.scales[place], octets)
        self.out.put_byte(c"\n")
        return True

    cdef int cell(self, int kind, int scale, Input* octets) except -1:
        if kind == TEXT:
            put_escaped(self.out, octets)
        elif kind == INTEGER:
            put_integer(self.out, integer(octets))
        elif kind == TIMESTAMP:
            put_timestamp(self.out, integer(octets), scale)
        elif kind == DECIMAL:
            put_decimal(self.out, octets, scale)
        elif kind == BOOLEAN:
            put_boolean(self.out, octets)
        elif kind == DOUBLE or kind == FLOAT:
            put_float(self.out, octets, 8 if kind == DOUBLE else 4)
        elif kind == DATE:
            put_date(self.out, integer(octets))
        elif kind == TIME:
            put_time(self.out, integer(octets), scale)
        elif kind == ZONED or kind == PLAIN:
            put_plain(self.out, octets, zoned=kind == ZONED)
        elif kind == OCTETS:
            put_hexadecimal(self.out, octets)
        else:
            raise Unusual
        return 0


@cython.final
cdef class Node:
    """What is needed of a `ReadPlan` to step over its values."""

    cdef Kind kind
    cdef long long parameter
    cdef tuple members

    def __cinit__(self, plan):
        self.kind = KINDS[plan.kind]
        self.parameter = plan.parameter
        self.members = tuple([Node(member) for member in plan.members])
        if plan.kind == "variable_decimal":
            self.kind = NOTHING  # scale and octets, in either order
            self.parameter = 2 if plan.parameter else 1
        if self.kind in (OPTIONAL, ARRAY, MAP) and len(self.members) != 1:
            raise ValueError(plan.kind)


cdef long long integer(Input* octets) except? -1:
    cdef long long number
    if not read_long(octets, &number):
        raise Unusual
    return number


cdef const unsigned char* sized(Input* octets, Py_ssize_t* size) except NULL:
    cdef long long length = integer(octets)
    cdef const unsigned char* start = take(octets, length)
    if start == NULL:
        raise Unusual
    size[0] = <Py_ssize_t>length
    return start


cdef bint is_null(Node node, Input* octets) except -1:
    """Take the branch of a union with null, which stands at `parameter`, first or last."""
    cdef long long branch = integer(octets)
    if branch != 0 and branch != 1:
        raise Unusual
    return branch == node.parameter


cdef int skip(Node node, Input* octets) except -1:
    """Step over one value."""
    cdef Py_ssize_t size
    cdef Kind kind = node.kind
    if kind == OPTIONAL:
        return 0 if is_null(node, octets) else skip(<Node>node.members[0], octets)
    if kind == TEXT or kind == OCTETS or kind == DECIMAL:
        sized(octets, &size)
    elif kind == INTEGER:
        integer(octets)
    elif kind == BOOLEAN or kind == DOUBLE or kind == FLOAT:
        if take(octets, 1 if kind == BOOLEAN else 8 if kind == DOUBLE else 4) == NULL:
            raise Unusual
    elif kind == RECORD:
        for member in node.members:
            skip(<Node>member, octets)
    elif kind == NOTHING:
        skip_variable_decimal(node, octets)
    else:
        skip_blocks(node, octets)
    return 0


cdef int skip_variable_decimal(Node node, Input* octets) except -1:
    cdef Py_ssize_t size
    if node.parameter == 1:
        integer(octets)
    if node.parameter != 0:
        sized(octets, &size)
    if node.parameter == 2:
        integer(octets)
    return 0


cdef int skip_blocks(Node node, Input* octets) except -1:
    cdef Py_ssize_t size
    cdef long long count = integer(octets)
    while count:
        if count < 0 or count > octets.end - octets.at:
            raise Unusual
        while count:
            if node.kind == MAP:
                sized(octets, &size)
            skip(<Node>node.members[0], octets)
            count -= 1
        count = integer(octets)
    return 0


cdef int put_escaped(Output out, Input* octets) except -1:
    """Append text, UTF-8 as it is, with what COPY reads in its own way escaped."""
    cdef Py_ssize_t size, place, done = 0
    cdef const unsigned char* start = sized(octets, &size)
    cdef unsigned char octet
    out.reserve(2 * size)
    for place in range(size):
        octet = start[place]
        if octet > 13 and octet != c"\\":
            continue
        if octet == 0:
            raise Unusual
        if octet == c"\n":
            octet = c"n"
        elif octet == c"\r":
            octet = c"r"
        elif octet == c"\t":
            octet = c"t"
        elif octet != c"\\":
            continue
        out.put(start + done, place - done)
        out.put_byte(c"\\")
        out.put_byte(octet)
        done = place + 1
    out.put(start + done, size - done)
    return 0


cdef int put_plain(Output out, Input* octets, bint zoned) except -1:
    """Append text that needs no escape; a zoned timestamp only where its year has four digits."""
    cdef Py_ssize_t size, place
    cdef const unsigned char* start = sized(octets, &size)
    if zoned and (size < 20 or start[4] != c"-"):
        raise Unusual
    for place in range(size):
        if start[place] < 32 or start[place] == c"\\":
            raise Unusual
    out.put(start, size)
    return 0


cdef int put_boolean(Output out, Input* octets) except -1:
    cdef const unsigned char* octet = take(octets, 1)
    if octet == NULL or octet[0] > 1:
        raise Unusual
    if octet[0]:
        out.put(<const unsigned char*>b"true", 4)
    else:
        out.put(<const unsigned char*>b"false", 5)
    return 0


cdef int put_float(Output out, Input* octets, int size) except -1:
    """Append the digits that `repr` prints; of a 32-bit float those of the double that it equals."""
    cdef const unsigned char* start = take(octets, size)
    cdef unsigned long long bits = 0
    cdef unsigned int few
    cdef float single
    cdef double number
    cdef int place, length = 0
    cdef char* text
    if start == NULL:
        raise Unusual
    for place in range(size):
        bits |= <unsigned long long>start[place] << (8 * place)
    if size == 4:
        few = <unsigned int>bits
        memcpy(&single, &few, 4)
        number = single
    else:
        memcpy(&number, &bits, 8)
    if number != number or number - number != 0:
        raise Unusual
    text = PyOS_double_to_string(number, c"r", 0, 2, NULL)
    while text[length]:
        length += 1
    out.put(<const unsigned char*>text, length)
    PyMem_Free(text)
    return 0


cdef int put_decimal(Output out, Input* octets, int scale) except -1:
    """Append a number of 1 to 8 octets, `scale` of its digits behind the point."""
    cdef Py_ssize_t size
    cdef const unsigned char* start = sized(octets, &size)
    cdef char text[DIGITS]
    cdef int begin
    if not 0 < size <= 8 or not 0 <= scale <= MOST_DIGITS:
        raise Unusual
    begin = digits_of(start, size, scale, text)
    out.put(<const unsigned char*>text + begin, DIGITS - begin)
    return 0


cdef int put_hexadecimal(Output out, Input* octets) except -1:
    r"""Append `\\x`, whose backslash is escaped, and two digits for each octet."""
    cdef Py_ssize_t size, place
    cdef const unsigned char* start = sized(octets, &size)
    cdef const unsigned char* digits = b"0123456789abcdef"
    out.put(<const unsigned char*>b"\\\\x", 3)
    out.reserve(2 * size)
    for place in range(size):
        out.data[out.size] = digits[start[place] >> 4]
        out.data[out.size + 1] = digits[start[place] & 15]
        out.size += 2
    return 0
