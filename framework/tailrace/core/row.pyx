"""Rows of wire bytes to rows of Avro bytes, by a plan that is made once for each version of a table.

    tuple, binary_tuple => count:int16 Cell*          big-endian
    Cell                => 'n'                        null
                           'u'                        unchanged TOAST value, not sent
                           't' size:int32 octets      text, in a tuple
                           'b' size:int32 octets      binary, in a binary_tuple
    copy                => Field*                     separated by tabs
    Field               => '\\N'                      null
                           octets                     \\b \\f \\n \\r \\t \\v \\\\ for the character, all else for itself
    binary_copy         => count:int16 Sized*         big-endian
    Sized               => size:int32 octets          binary; a size of -1: null
    binlog              => bits bits octets*          which columns are present; which of those are null; the others
    text_row            => (size:lenenc octets)*      MySQL's text; a size of 251: null

Where a row is not of this shape, or says something that asks for more thought than a conversion (a required column that
is null, a key that was not sent), the plan declines: its functions return False, and the Python twin
(`tailrace.codec.row`) does the row, or says what is wrong with it.
Source: Postgres manual, chapter 55 (logical replication message formats), COPY (text format, binary format); MySQL's
manual of the binlog events (`Rows_event`), and of the protocol, "Text Resultset Row".
"""

from libc.stdlib cimport calloc, free

from tailrace.core cimport binary, binlog
from tailrace.core cimport cell as conversions
from tailrace.core.output cimport Output

CONVERSIONS = {
    "": conversions.CALL,
    "boolean": conversions.BOOLEAN,
    "integer": conversions.INTEGER,
    "float": conversions.FLOAT,
    "double": conversions.DOUBLE,
    "text": conversions.TEXT,
    "bytea": conversions.BYTEA,
    "decimal": conversions.DECIMAL,
    "variable_decimal": conversions.VARIABLE_DECIMAL,
    "date": conversions.DATE,
    "time_millis": conversions.TIME_MILLIS,
    "time_micros": conversions.TIME_MICROS,
    "timestamp_millis": conversions.TIMESTAMP_MILLIS,
    "timestamp_micros": conversions.TIMESTAMP_MICROS,
    "zoned_timestamp": conversions.ZONED_TIMESTAMP,
    "truncated": conversions.TRUNCATED,
    "constant": conversions.CONSTANT,
    "oid": conversions.OID,
    "uuid": conversions.UUID,
    "jsonb": conversions.JSONB,
    "unsigned": conversions.UNSIGNED,
    "year": conversions.YEAR,
    "bit": conversions.BIT,
    "bits": conversions.BITS,
}

LAYOUTS = {
    "tuple": TUPLE,
    "copy": COPY,
    "binary_tuple": BINARY_TUPLE,
    "binary_copy": BINARY_COPY,
    "binlog": BINLOG,
    "text_row": TEXT_ROW,
}


cdef class RowPlan:
    """Writes the rows of one version of a table.

    `cells` has one `CellPlan` (see `tailrace.core.plan`) for each column of the wire, or None for one that is left out;
    `key` the indexes of the key's columns;
    `layout` is one of `LAYOUTS`; rows of the binlog need to know the `widths` of cells: octets or, negative, octets of
    the length before them.
    """

    def __cinit__(self, cells, key, str layout, widths=()):
        self.layout = LAYOUTS[layout]
        self.convert = converter(self.layout)
        self.unescaped = Output()
        self.lent = Output()
        self.count = len(cells)
        self.columns = <Column*>calloc(self.count + 1, sizeof(Column))
        self.cells = <Cell*>calloc(self.count + 1, sizeof(Cell))
        self.lenders = <Cell*>calloc(self.count + 1, sizeof(Cell))
        if self.columns == NULL or self.cells == NULL or self.lenders == NULL:
            raise MemoryError
        cdef int index
        cdef Column* column
        for index, plan in enumerate(cells):
            column = &self.columns[index]
            if plan is None:
                column.is_left_out = True
                continue
            column.conversion = CONVERSIONS[plan.conversion]
            column.parameter = plan.parameter
            column.branch = -1 if plan.branch is None else plan.branch
            column.required = plan.required
        if self.layout == BINLOG and len(widths) != self.count:
            raise ValueError(widths)
        for index, width in enumerate(widths):
            if not -4 <= width:
                raise ValueError(width)
            self.columns[index].width = width
        for index in key:
            if not 0 <= index < self.count:
                raise IndexError(index)
            self.columns[index].is_key = True
        self.nulls = [b"" if plan is None else bytes(plan.null) for plan in cells]
        self.placeholders = [b"" if plan is None else bytes(plan.placeholder) for plan in cells]
        self.writers = [None if plan is None else plan.write for plan in cells]
        self.names = [b"" if plan is None else bytes(plan.name) for plan in cells]
        self.unsent = []

    def __dealloc__(self):
        free(self.columns)
        free(self.cells)
        free(self.lenders)

    def pieces(self, bytes wire not None):
        """Return the pieces of a row's columns, or None where the plan declines; for tests and measurements."""
        cdef Output out = Output()
        cdef int index
        if not self.cut(wire, len(wire), lending=False) or not self.write_after(out):
            return None
        return [
            out.octets(self.columns[index].start, self.columns[index].end)
            for index in range(self.count)
            if not self.columns[index].is_left_out
        ]

    cdef bint cut(self, const unsigned char* wire, Py_ssize_t size, bint lending) except -1:
        """Find the cells of a row in its bytes, which must stay where they are; False where they do not fit."""
        cdef Cell* cells = self.lenders if lending else self.cells
        cdef Py_ssize_t at
        if self.unsent:
            self.unsent.clear()
        if self.layout == TUPLE or self.layout == BINARY_TUPLE:
            return self.cut_tuple(wire, size, cells, c't' if self.layout == TUPLE else c'b')
        if self.layout == BINARY_COPY:
            return self.cut_binary_copy(wire, size, cells)
        if self.layout == BINLOG:
            at = (self.count + 7) // 8
            return size >= at and self.cut_binlog(wire, wire + at, size - at, cells)
        if self.layout == TEXT_ROW:
            return self.cut_text_row(wire, size, cells)
        return self.cut_copy(wire, size, cells, self.lent if lending else self.unescaped)

    cdef bint cut_image(
        self, const unsigned char* present, const unsigned char* image, Py_ssize_t size, bint lending
    ) except -1:
        """Do what `cut` does for a row of the binlog whose present bits lie elsewhere, one for each column."""
        if self.unsent:
            self.unsent.clear()
        return self.cut_binlog(present, image, size, self.lenders if lending else self.cells)

    cdef bint cut_tuple(self, const unsigned char* wire, Py_ssize_t size, Cell* cells, unsigned char value) noexcept:
        cdef const unsigned char* end = wire + size
        cdef unsigned char kind
        cdef Py_ssize_t length
        cdef int index
        if size < 2 or (wire[0] << 8 | wire[1]) != self.count:
            return False
        wire += 2
        for index in range(self.count):
            if wire == end:
                return False
            kind = wire[0]
            wire += 1
            if kind == value:
                if end - wire < 4:
                    return False
                length = <Py_ssize_t>wire[0] << 24 | wire[1] << 16 | wire[2] << 8 | wire[3]
                wire += 4
                if length > end - wire:
                    return False
                cells[index] = Cell(VALUE_CELL, wire, length)
                wire += length
            elif kind == c'n':
                cells[index].kind = NULL_CELL
            elif kind == c'u':
                cells[index].kind = UNSENT_CELL
            else:
                return False
        return wire == end

    cdef bint cut_binary_copy(self, const unsigned char* wire, Py_ssize_t size, Cell* cells) noexcept:
        cdef const unsigned char* end = wire + size
        cdef unsigned int length
        cdef int index
        if size < 2 or (wire[0] << 8 | wire[1]) != self.count:
            return False
        wire += 2
        for index in range(self.count):
            if end - wire < 4:
                return False
            length = <unsigned int>wire[0] << 24 | wire[1] << 16 | wire[2] << 8 | wire[3]
            wire += 4
            if length == 0xFFFFFFFFU:
                cells[index].kind = NULL_CELL
                continue
            if length > end - wire:
                return False
            cells[index] = Cell(VALUE_CELL, wire, length)
            wire += length
        return wire == end

    cdef bint cut_binlog(
        self, const unsigned char* present, const unsigned char* nulls, Py_ssize_t size, Cell* cells
    ) noexcept:
        cdef const unsigned char* image = nulls
        cdef Py_ssize_t at, length
        cdef int index, bit = 0, width
        for index in range(self.count):
            bit += present[index >> 3] >> (index & 7) & 1
        at = (bit + 7) // 8
        if size < at:
            return False
        bit = 0
        for index in range(self.count):
            if not present[index >> 3] >> (index & 7) & 1:
                cells[index].kind = UNSENT_CELL
                continue
            bit += 1
            if nulls[(bit - 1) >> 3] >> ((bit - 1) & 7) & 1:
                cells[index].kind = NULL_CELL
                continue
            length = self.columns[index].width
            if length < 0:
                width = <int>-length
                if size - at < width:
                    return False
                length = little_endian(image + at, width)
                at += width
            if length > size - at:
                return False
            cells[index] = Cell(VALUE_CELL, image + at, length)
            at += length
        return at == size

    cdef bint cut_text_row(self, const unsigned char* wire, Py_ssize_t size, Cell* cells) noexcept:
        cdef Py_ssize_t at = 0, length
        cdef int index, width
        for index in range(self.count):
            if at == size:
                return False
            length = wire[at]
            at += 1
            if length == 0xFB:
                cells[index].kind = NULL_CELL
                continue
            if length > 0xFB:
                width = 2 if length == 0xFC else 3 if length == 0xFD else 8
                if length == 0xFF or size - at < width:
                    return False
                length = little_endian(wire + at, width)
                at += width
            if not 0 <= length <= size - at:
                return False
            cells[index] = Cell(VALUE_CELL, wire + at, length)
            at += length
        return at == size

    cdef bint cut_copy(self, const unsigned char* wire, Py_ssize_t size, Cell* cells, Output plain) except -1:
        cdef Py_ssize_t start = 0, at
        cdef int index = 0
        cdef bint escaped = False
        plain.clear()
        plain.reserve(size)  # all of its cells fit, so that none of them is moved by the next one
        for at in range(size + 1):
            if at < size and wire[at] != c'\t':
                escaped |= wire[at] == c'\\'
                continue
            if index == self.count:
                return False
            cells[index] = Cell(VALUE_CELL, wire + start, at - start)
            if escaped:
                unescape(&cells[index], plain)
            escaped = False
            start = at + 1
            index += 1
        return index == self.count

    cdef void lend(self) noexcept:
        """Take the values that the row after a change lacks from the row before it, where that has them."""
        cdef int index
        for index in range(self.count):
            if self.cells[index].kind == UNSENT_CELL and self.lenders[index].kind == VALUE_CELL:
                self.cells[index] = self.lenders[index]

    cdef bint write_before(self, Output out) except -1:
        """Append the row before a change. Under the default replica identity it has nulls where nothing was sent."""
        cdef int index
        cdef const Cell* cell
        for index in range(self.count):
            cell = &self.lenders[index]
            if self.columns[index].is_left_out:
                continue
            if cell.kind == UNSENT_CELL or (cell.kind == NULL_CELL and self.is_needed(index)):
                return False
            self.write_cell(index, cell, out)
        return True

    cdef bint write_after(self, Output out) except -1:
        """Append the row after a change."""
        cdef int index
        cdef const Cell* cell
        for index in range(self.count):
            cell = &self.cells[index]
            if self.columns[index].is_left_out:
                continue
            if cell.kind == NULL_CELL and self.columns[index].required:
                return False
            if cell.kind == UNSENT_CELL:
                if self.columns[index].is_key:
                    return False
                self.unsent.append(self.names[index])
            self.write_cell(index, cell, out)
        return True

    cdef bint is_needed(self, int index) noexcept:
        return self.columns[index].is_key and self.columns[index].required

    cdef int write_cell(self, int index, const Cell* cell, Output out) except -1:
        """Append the piece of one column: the branch of its union, and its value."""
        cdef Column* column = &self.columns[index]
        column.start = out.size
        if cell.kind == NULL_CELL:
            out.put_bytes(<bytes>self.nulls[index])
        elif cell.kind == UNSENT_CELL or column.conversion == conversions.CONSTANT:
            out.put_bytes(<bytes>self.placeholders[index])
        else:
            if column.branch >= 0:
                out.put_byte(<unsigned char>column.branch)
            if not self.convert(column.conversion, column.parameter, cell.octets, cell.size, out):
                out.size = column.start
                out.put_bytes(self.writers[index](cell.octets[: cell.size]))
        column.end = out.size
        return 0


cdef Convert converter(Layout layout) noexcept:
    """Return what writes the cells of rows that lie like this."""
    if layout == BINLOG:
        return binlog.write_cell
    if layout == TEXT_ROW:
        return binlog.write_text_cell
    if layout == BINARY_TUPLE or layout == BINARY_COPY:
        return binary.write_cell
    return conversions.write_cell


cdef inline Py_ssize_t little_endian(const unsigned char* octets, int size) noexcept:
    """Read a number of at most 8 octets."""
    cdef unsigned long long number = 0
    cdef int place
    for place in range(size):
        number |= <unsigned long long>octets[place] << (8 * place)
    return <Py_ssize_t>number


cdef int unescape(Cell* cell, Output plain) except -1:
    """Replace the octets of a cell that has a backslash by what they stand for."""
    cdef const unsigned char* escaped = cell.octets
    cdef Py_ssize_t size = cell.size, at = 0, start = plain.size
    if size == 2 and escaped[1] == c'N':
        cell.kind = NULL_CELL
        return 0
    while at < size:
        if escaped[at] == c'\\' and at + 1 < size:
            plain.put_byte(meaning(escaped[at + 1]))
            at += 2
        else:
            plain.put_byte(escaped[at])
            at += 1
    cell.octets = plain.data + start
    cell.size = plain.size - start
    return 0


cdef inline unsigned char meaning(unsigned char letter) noexcept:
    """Return what a backslash and `letter` stand for."""
    if letter == c'n':
        return c'\n'
    if letter == c't':
        return c'\t'
    if letter == c'r':
        return c'\r'
    if letter == c'b':
        return 8
    if letter == c'f':
        return 12
    if letter == c'v':
        return 11
    return letter
