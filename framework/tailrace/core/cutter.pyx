"""The rows of an event of MySQL's binlog, cut apart without a look at what they say.

    event   => timestamp u32 · type u8 · server id u32 · size u32 · end position u32 · flags u16 · table id u48 ·
               flags u16 · [v2: size of the extra data u16 · extra data] · columns lenenc · present bits ·
               [update: present bits after] · images
    images  => image* or, of an update, (image before, image after)*
    image   => null bits, one for each column that is present · cells of those that are present and not null

Where the octets are not what the widths say, it gives up, and its Python twin (`tailrace_mysql.rows`, which draws the
format) does the event, or says what is wrong with it.
"""

from libc.stdlib cimport calloc, free
from libc.string cimport memcmp

from tailrace.core.output cimport Output

cdef enum:
    WIDEST = 1 << 16


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

    cdef bint cut(
        self, const unsigned char* present, const unsigned char* present_after, const unsigned char* data,
        Py_ssize_t start, Py_ssize_t size, Output spots,
    ) except -1:
        """Append the spots of the rows of `data` from `start` on; False, with some of them there, where they cannot be cut.

        `present_after` is NULL but for updates.
        """
        cdef Spot spot
        while start < size:
            spot.middle = spot.end = self.end(present, data, start, size)
            if present_after != NULL and spot.middle >= 0:
                spot.end = self.end(present_after, data, spot.middle, size)
            if spot.end < 0 or spot.end == start:
                return False
            spots.put(<const unsigned char*>&spot, sizeof(Spot))
            start = spot.end
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

    cdef bint moves(
        self, const unsigned char* old, const unsigned char* old_image, const unsigned char* new,
        const unsigned char* new_image,
    ) noexcept:
        """Whether an update gave the key another value, by the present bits and the images, which are cut already.

        A column that the row after does not have was left alone.
        """
        cdef const unsigned char* old_at = old_image + (count_of(old, self.count) + 7) // 8
        cdef const unsigned char* new_at = new_image + (count_of(new, self.count) + 7) // 8
        cdef Py_ssize_t old_size, new_size
        cdef int index, old_bit = 0, new_bit = 0
        for index in range(self.count):
            old_size = self.cell_size(index, old, old_image, &old_bit, old_at)
            new_size = self.cell_size(index, new, new_image, &new_bit, new_at)
            if self.keys[index] and new_size >= 0:
                if old_size != new_size or memcmp(old_at, new_at, <size_t>new_size) != 0:
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
