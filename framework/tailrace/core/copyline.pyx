r"""Envelopes in Avro to rows of Postgres' COPY, without a Python value in between.

    line  => text (TAB text)* LF        a null is \N; texts are those of linecell.pyx
    tuple => columns:int16 cell*        a null is -1:int32; cells are those of tuplecell.pyx

Gives up with ValueError where the bytes are not what the plan says, and where a value has no usual form: its Python twin,
the sink's own writer, takes the delivery then, as a line, or says what is wrong with it. Both say the same:
tests/properties/test_core_copyline.py. A tuple begins with a zero octet, and no line does.
Source: Postgres manual, COPY, "Text Format" and "Binary Format"; Avro specification 1.11, "Binary Encoding".
"""

cimport cython

from tailrace.core.checked cimport integer, sized
from tailrace.core.input cimport Input, take
from tailrace.core.linecell cimport (
    BOOLEAN, DATE, DECIMAL, DOUBLE, FLOAT, INTEGER, OCTETS, PLAIN, TEXT, TIME, TIMESTAMP, UUID, ZONED, Form, put_line_cell,
)
from tailrace.core.output cimport Output
from tailrace.core.tuplecell cimport put_tuple_cell

cdef enum Kind:
    NOTHING
    LONG
    FIXED
    SIZED
    VARIABLE_DECIMAL
    RECORD
    ARRAY
    MAP
    OPTIONAL

cdef enum:
    MOST_COLUMNS = 255  # tables with more are left to Python

KINDS = {
    "null": (NOTHING, 0),
    "boolean": (FIXED, 1),
    "integer": (LONG, 0),
    "float": (FIXED, 4),
    "double": (FIXED, 8),
    "bytes": (SIZED, 0),
    "text": (SIZED, 0),
    "decimal": (SIZED, 0),
    "variable_decimal": (VARIABLE_DECIMAL, 0),
    "record": (RECORD, 0),
    "array": (ARRAY, 0),
    "map": (MAP, 0),
    "optional": (OPTIONAL, 0),
}
FORMS = {
    "integer": INTEGER,
    "boolean": BOOLEAN,
    "float": FLOAT,
    "double": DOUBLE,
    "bytes": OCTETS,
    "text": TEXT,
    "decimal": DECIMAL,
    "date": DATE,
    "time": TIME,
    "timestamp": TIMESTAMP,
    "zoned": ZONED,
    "uuid": UUID,
    "plain": PLAIN,
}


@cython.final
cdef class LineWriter:
    """Writes the `after` of envelopes, by a `LinePlan` (see `tailrace.core.plan`)."""

    cdef Node root
    cdef Py_ssize_t after
    cdef Py_ssize_t op
    cdef bint binary
    cdef Form forms[MOST_COLUMNS]
    cdef int scales[MOST_COLUMNS]
    cdef Output out

    def __cinit__(self, plan not None):
        cdef Node after
        cdef Py_ssize_t place
        self.root = Node(plan.envelope)
        self.after, self.op, self.binary = plan.after, plan.op, plan.binary
        self.out = Output()
        if self.root.kind != RECORD or not 0 <= self.after < self.op < len(self.root.members):
            raise ValueError("envelope")
        after = <Node>self.root.members[self.after]
        if after.kind != OPTIONAL or len((<Node>after.members[0]).members) != len(plan.forms):
            raise ValueError("columns")
        if len(plan.forms) > MOST_COLUMNS:
            raise ValueError("too many columns")
        for place, (form, scale) in enumerate(plan.forms):
            self.forms[place], self.scales[place] = FORMS[form], scale

    def line(self, bytes data not None, Py_ssize_t start):
        """Return the op, and the line or tuple of the row after the change, None where there is none.

        Raises ValueError for what is left to Python.
        """
        cdef Input octets
        cdef Py_ssize_t place
        cdef bint there = False
        cdef const unsigned char* op = NULL
        octets.at = data
        octets.end = octets.at + len(data)
        if take(&octets, start) == NULL:
            raise ValueError
        self.out.clear()
        for place in range(self.op):
            if place == self.after:
                there = self.row(<Node>self.root.members[place], &octets)
            else:
                skip(<Node>self.root.members[place], &octets)
        if integer(&octets) != 1:
            raise ValueError
        op = take(&octets, 1)
        if op == NULL:
            raise ValueError
        return chr(op[0]), self.out.octets(0, self.out.size) if there else None

    cdef bint row(self, Node node, Input* octets) except -1:
        if is_null(node, octets):
            return False
        node = <Node>node.members[0]
        if self.binary:
            self.put_tuple(node, octets)
        else:
            self.put_line(node, octets)
        return True

    cdef int put_line(self, Node node, Input* octets) except -1:
        cdef Py_ssize_t place
        for place in range(len(node.members)):
            if place:
                self.out.put_byte(c"\t")
            if lacks(<Node>node.members[place], octets):
                self.out.put(<const unsigned char*>b"\\N", 2)
            else:
                put_line_cell(self.out, self.forms[place], self.scales[place], octets)
        return self.out.put_byte(c"\n")

    cdef int put_tuple(self, Node node, Input* octets) except -1:
        cdef Py_ssize_t place
        self.out.put_big_endian(<unsigned long long>len(node.members), 2)
        for place in range(len(node.members)):
            if lacks(<Node>node.members[place], octets):
                self.out.put_big_endian(0xFFFFFFFF, 4)
            else:
                put_tuple_cell(self.out, self.forms[place], self.scales[place], octets)
        return 0


@cython.final
cdef class Node:
    """What is needed of a `ReadPlan` to step over its values."""

    cdef Kind kind
    cdef int size
    cdef long long parameter
    cdef tuple members

    def __cinit__(self, plan):
        self.kind, self.size = KINDS[plan.kind]
        self.parameter = plan.parameter
        self.members = tuple([Node(member) for member in plan.members])
        if self.kind in (OPTIONAL, ARRAY, MAP) and len(self.members) != 1:
            raise ValueError(plan.kind)


cdef bint is_null(Node node, Input* octets) except -1:
    """Take the branch of a union with null, which stands at `parameter`, first or last."""
    cdef long long branch = integer(octets)
    if branch != 0 and branch != 1:
        raise ValueError
    return branch == node.parameter


cdef inline bint lacks(Node column, Input* octets) except -1:
    """Tell of a column whether it is null; the value follows where it is not."""
    return column.kind == OPTIONAL and is_null(column, octets)


cdef int skip(Node node, Input* octets) except -1:
    """Step over one value."""
    cdef Py_ssize_t size
    cdef Kind kind = node.kind
    if kind == OPTIONAL:
        return 0 if is_null(node, octets) else skip(<Node>node.members[0], octets)
    if kind == SIZED:
        sized(octets, &size)
    elif kind == LONG:
        integer(octets)
    elif kind == FIXED:
        if take(octets, node.size) == NULL:
            raise ValueError
    elif kind == RECORD:
        for member in node.members:
            skip(<Node>member, octets)
    elif kind == VARIABLE_DECIMAL:
        skip_variable_decimal(node, octets)
    elif kind != NOTHING:
        skip_blocks(node, octets)
    return 0


cdef int skip_variable_decimal(Node node, Input* octets) except -1:
    """Step over a scale and octets, which come first where the parameter says so."""
    cdef Py_ssize_t size
    if not node.parameter:
        integer(octets)
    sized(octets, &size)
    if node.parameter:
        integer(octets)
    return 0


cdef int skip_blocks(Node node, Input* octets) except -1:
    cdef Py_ssize_t size
    cdef long long count = integer(octets)
    while count:
        if count < 0 or count > octets.end - octets.at:
            raise ValueError
        while count:
            if node.kind == MAP:
                sized(octets, &size)
            skip(<Node>node.members[0], octets)
            count -= 1
        count = integer(octets)
    return 0
