"""Avro binary to Python values, by a plan that is made once for each schema.

Gives up with ValueError where the bytes are not what the plan says, or say it in an unusual way; its Python twin
(`tailrace.codec.avro_reader`, by fastavro) reads the value again, or says what is wrong with it.
Source: Avro specification 1.11, "Binary Encoding".
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeASCII, PyUnicode_DecodeUTF8
from libc.string cimport memcmp, memcpy

from decimal import Decimal

from tailrace.core.digits cimport DIGITS, MOST_DIGITS, digits_of
from tailrace.core.input cimport Input, read_long, take

cdef enum Kind:
    NOTHING
    BOOLEAN
    INTEGER
    FLOAT
    DOUBLE
    OCTETS
    TEXT
    DECIMAL
    VARIABLE_DECIMAL
    RECORD
    ARRAY
    MAP
    OPTIONAL

cdef enum:
    SHORT = 32  # text of at most so many octets is remembered

KINDS = {
    "null": NOTHING,
    "boolean": BOOLEAN,
    "integer": INTEGER,
    "float": FLOAT,
    "double": DOUBLE,
    "bytes": OCTETS,
    "text": TEXT,
    "decimal": DECIMAL,
    "variable_decimal": VARIABLE_DECIMAL,
    "record": RECORD,
    "array": ARRAY,
    "map": MAP,
    "optional": OPTIONAL,
}


class Malformed(ValueError):
    """The bytes are not what the plan says; never seen by users."""


@cython.final
cdef class Reader:
    """Reads values by a `ReadPlan` (see `tailrace.core.plan`)."""

    cdef Node root

    def __cinit__(self, plan not None):
        self.root = Node(plan)

    def read(self, bytes data not None, Py_ssize_t start):
        """Return the value that takes all of `data` from `start` on; raises ValueError where there is no such value."""
        cdef Input octets
        octets.at = data
        octets.end = octets.at + len(data)
        if take(&octets, start) == NULL:
            raise Malformed
        value = read(self.root, &octets)
        if octets.at != octets.end:
            raise Malformed
        return value


@cython.final
cdef class Node:
    """A plan, where it is read quickly."""

    cdef Kind kind
    cdef long long parameter
    cdef object convert
    cdef tuple names
    cdef tuple members
    cdef str last  # text, as most fields of a source block have the same one in event after event
    cdef unsigned char last_octets[SHORT]
    cdef Py_ssize_t last_size

    def __cinit__(self, plan):
        self.kind = KINDS[plan.kind]
        self.parameter = plan.parameter
        self.convert = plan.convert
        self.names = tuple(plan.names)
        self.members = tuple([Node(member) for member in plan.members])
        self.last_size = -1
        if len(self.members) != {RECORD: len(self.names), ARRAY: 1, MAP: 1, OPTIONAL: 1}.get(self.kind, 0):
            raise ValueError(plan.kind)


cdef object read(Node node, Input* octets):
    """Return one value."""
    cdef Kind kind = node.kind
    if kind == OPTIONAL:
        if is_null(node, octets):
            return None
        node = <Node>node.members[0]
        kind = node.kind
    if kind == TEXT:
        return read_text(node, octets)
    if kind == INTEGER:
        return integer(octets)
    if kind == DOUBLE:
        return read_double(octets)
    if kind == BOOLEAN:
        return octet_of(octets, 1) == 1
    if kind == RECORD:
        return read_record(node, octets)
    return read_rarer(node, octets)


cdef object read_rarer(Node node, Input* octets):
    cdef const unsigned char* start
    cdef Py_ssize_t size
    if node.kind == NOTHING:
        return None
    if node.kind == FLOAT:
        return read_float(octets)
    if node.kind == OCTETS:
        start = sized(octets, &size)
        return PyBytes_FromStringAndSize(<const char*>start, size)
    if node.kind == DECIMAL:
        start = sized(octets, &size)
        if size == 0 or size > 8 or not 0 <= node.parameter <= MOST_DIGITS:
            return node.convert(PyBytes_FromStringAndSize(<const char*>start, size))
        return decimal_of(start, size, <int>node.parameter)
    if node.kind == VARIABLE_DECIMAL:
        return read_variable_decimal(node, octets)
    if node.kind == ARRAY:
        return read_array(node, octets)
    if node.kind == MAP:
        return read_map(node, octets)
    return read(node, octets)


cdef dict read_record(Node node, Input* octets):
    cdef dict record = {}
    cdef Py_ssize_t index
    for index in range(len(node.names)):
        record[node.names[index]] = read(<Node>node.members[index], octets)
    return record


cdef bint is_null(Node node, Input* octets) except -1:
    """Take the branch of a union with null, which stands at `parameter`, first or last."""
    return octet_of(octets, 2) == (0 if node.parameter == 0 else 2)


cdef int octet_of(Input* octets, unsigned char other) except -1:
    """Take an octet that is 0 or `other`."""
    cdef const unsigned char* octet = take(octets, 1)
    if octet == NULL or (octet[0] != 0 and octet[0] != other):
        raise Malformed
    return octet[0]


cdef long long integer(Input* octets) except? -1:
    cdef long long number
    if not read_long(octets, &number):
        raise Malformed
    return number


cdef const unsigned char* sized(Input* octets, Py_ssize_t* size) except NULL:
    """Take a length, and as many octets; return where they begin."""
    cdef long long length = integer(octets)
    cdef const unsigned char* start = take(octets, length)
    if start == NULL:
        raise Malformed
    size[0] = <Py_ssize_t>length
    return start


cdef str read_text(Node node, Input* octets):
    cdef Py_ssize_t size
    cdef const unsigned char* start = sized(octets, &size)
    if size == node.last_size and memcmp(start, node.last_octets, <size_t>size) == 0:
        return node.last
    cdef str text = PyUnicode_DecodeUTF8(<const char*>start, size, NULL)
    if size <= SHORT:
        memcpy(node.last_octets, start, <size_t>size)
        node.last, node.last_size = text, size
    return text


cdef object read_double(Input* octets):
    cdef unsigned long long bits = little_endian(octets, 8)
    cdef double number
    memcpy(&number, &bits, 8)
    return number


cdef object read_float(Input* octets):
    cdef unsigned int bits = <unsigned int>little_endian(octets, 4)
    cdef float number
    memcpy(&number, &bits, 4)
    return number


cdef unsigned long long little_endian(Input* octets, int size) except? 0:
    cdef const unsigned char* start = take(octets, size)
    cdef unsigned long long bits = 0
    cdef int place
    if start == NULL:
        raise Malformed
    for place in range(size):
        bits |= <unsigned long long>start[place] << (8 * place)
    return bits


cdef object read_variable_decimal(Node node, Input* octets):
    """Take `scale` and `value`, in the order that `parameter` says: 1 where the value stands first."""
    cdef long long scale = 0
    cdef Py_ssize_t size
    cdef const unsigned char* start
    if node.parameter == 0:
        scale = integer(octets)
    start = sized(octets, &size)
    if node.parameter != 0:
        scale = integer(octets)
    if size == 0 or size > 8 or not 0 <= scale <= MOST_DIGITS:
        return node.convert(scale, PyBytes_FromStringAndSize(<const char*>start, size))
    return decimal_of(start, size, <int>scale)


cdef object decimal_of(const unsigned char* octets, Py_ssize_t size, int scale):
    """Return a big-endian number of 1 to 8 octets in two's complement, `scale` of its digits behind the point."""
    cdef char text[DIGITS]
    cdef int at = digits_of(octets, size, scale, text)
    return Decimal(PyUnicode_DecodeASCII(text + at, DIGITS - at, NULL))


cdef long long block(Input* octets) except? -1:
    """Take the count that begins a block of items; 0 ends them. Every item takes an octet at least."""
    cdef long long count = integer(octets)
    if count < 0:
        count = -(count + 1)  # the lowest number has no positive one
        if count >= octets.end - octets.at:
            raise Malformed
        integer(octets)
        count += 1
    if count > octets.end - octets.at:
        raise Malformed
    return count


cdef list read_array(Node node, Input* octets):
    cdef list items = []
    cdef Node item = <Node>node.members[0]
    cdef long long count = block(octets)
    while count:
        while count:
            items.append(read(item, octets))
            count -= 1
        count = block(octets)
    return items


cdef dict read_map(Node node, Input* octets):
    cdef dict items = {}
    cdef Node item = <Node>node.members[0]
    cdef const unsigned char* start
    cdef Py_ssize_t size
    cdef long long count = block(octets)
    while count:
        while count:
            start = sized(octets, &size)
            key = PyUnicode_DecodeUTF8(<const char*>start, size, NULL)
            items[key] = read(item, octets)
            count -= 1
        count = block(octets)
    return items
