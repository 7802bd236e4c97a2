"""The rows of an event of MySQL's binlog: cut apart, and made into changes, without a look at what they say.

    images  => image* or, of an update, (image before, image after)*
    image   => null bits, one for each column that is present · cells of those that are present and not null
    wire    => present bits, one for each column · image

Where the octets are not what the widths say, `changes` gives up, and its Python twin (`tailrace_mysql.rows`, which draws
the format) does the event, or says what is wrong with it.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from tailrace.core.change cimport ChangeFields, new_change

cdef enum:
    WIDEST = 1 << 16


@cython.final
cdef class Cutter:
    """Cuts the rows of one version of a table.

    `widths` are those of its columns' cells: octets or, negative, octets of the length before them. `key` are the
    indexes of the key's columns.
    """

    cdef int count
    cdef int octets  # of the bits of all columns
    cdef int* widths
    cdef unsigned char* keys  # 1 for those of the key

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
        cdef const unsigned char* octets = data
        cdef Py_ssize_t size = len(data), start = 0, middle, end
        cdef bint updates = op == "u"
        cdef bytes before = None, after = None
        cdef list changes = []
        cdef ChangeFields change
        if len(present) != self.octets or (updates and len(present_after) != self.octets):
            return None
        while start < size:
            middle = end = self.end(present, octets, start, size)
            if updates and middle >= 0:
                end = self.end(present_after, octets, middle, size)
            if end < 0 or end == start:
                return None
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
        return changes

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
