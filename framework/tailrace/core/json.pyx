"""From MySQL's binary JSON to the text that the server prints, as an Avro string.

    document   => type:u8 value
    value      of type 0 and 1, 2 and 3: a small and a large object, a small and a large array
               4: literal u8 · 5-10: integers of 16, 32 and 64 bits, signed and unsigned · 11: double
               12: string, its length before it in groups of 7 bits · 15: opaque
    container  => count size (key offset, key length u16)* (type u8, value or its offset)* keys values
               count, size and offsets are u16 in small ones, u32 in large ones; offsets count from its begin

Opaque values, numbers that are printed with an exponent, and whatever is malformed are left to Python
(`tailrace_mysql.jsonb`): then nothing is written. Source: the comment at the head of MySQL's `json_binary.h`.
"""

from cpython.conversion cimport PyOS_double_to_string
from cpython.mem cimport PyMem_Free
from libc.string cimport memcpy, memmove, strlen

from tailrace.core.cell cimport is_utf8
from tailrace.core.output cimport Output, long_size

cdef enum:
    DEPTH = 100
    LONGEST_INTEGER = 24
    MOST_WHOLE_DIGITS = 15  # before the point; with more of them an exponent is printed

cdef const unsigned char* HEX = b"0123456789abcdef"


cdef struct Document:
    const unsigned char* octets
    Py_ssize_t size


cdef bint write_document(const unsigned char* octets, Py_ssize_t size, Output out) except -1:
    """Append the text with its length before it and return True, or append nothing and return False."""
    cdef Document document = Document(octets, size)
    cdef Py_ssize_t start = out.size, length
    cdef int head
    if size < 2 or not write_value(&document, octets[0], 1, DEPTH, out):
        out.size = start
        return False
    length = out.size - start
    head = long_size(length)
    out.reserve(head)
    memmove(out.data + start + head, out.data + start, <size_t>length)
    out.size = start
    out.put_long(length)
    out.size = start + head + length
    return True


cdef bint write_value(Document* document, int kind, Py_ssize_t at, int depth, Output out) except -1:
    if kind == 12:
        return write_string(document, at, out)
    if kind <= 3:
        return depth > 0 and write_container(document, kind, at, depth - 1, out)
    if kind == 4:
        return at < document.size and write_literal(document.octets[at], out)
    if kind == 11:
        return document.size - at >= 8 and write_double(document.octets + at, out)
    return kind <= 10 and write_integer(document, kind, at, out)


cdef bint write_literal(unsigned char literal, Output out) except -1:
    if literal == 0:
        out.put(b"null", 4)
    elif literal == 1:
        out.put(b"true", 4)
    elif literal == 2:
        out.put(b"false", 5)
    else:
        return False
    return True


cdef bint write_integer(Document* document, int kind, Py_ssize_t at, Output out) except -1:
    """Types 5 to 10 are signed and unsigned in turn, of 2, 4 and 8 octets."""
    cdef int size = 2 << ((kind - 5) >> 1), free = 64 - 8 * size, start = LONGEST_INTEGER
    cdef unsigned long long number
    cdef unsigned char[LONGEST_INTEGER] digits
    cdef bint negative
    if document.size - at < size:
        return False
    number = number_at(document, at, size)
    negative = (kind & 1) != 0 and (number >> (8 * size - 1)) != 0
    if negative:
        number = 0 - <unsigned long long>(<long long>(number << free) >> free)
    while number or start == LONGEST_INTEGER:
        start -= 1
        digits[start] = <unsigned char>(c'0' + number % 10)
        number //= 10
    if negative:
        start -= 1
        digits[start] = c'-'
    out.put(digits + start, LONGEST_INTEGER - start)
    return True


cdef bint write_double(const unsigned char* octets, Output out) except -1:
    """Append the fewest digits that read back the same, and a point."""
    cdef unsigned long long bits = 0
    cdef double number
    cdef int place
    cdef Py_ssize_t size, whole = 0
    cdef char* text
    cdef bint plain = True
    for place in range(8):
        bits |= <unsigned long long>octets[place] << (8 * place)
    memcpy(&number, &bits, 8)
    if number - number != 0:
        return False
    text = PyOS_double_to_string(number, c'r', 0, 2, NULL)  # 2: with a point
    if text == NULL:
        raise MemoryError
    size = <Py_ssize_t>strlen(text)
    while whole < size and text[whole] != c'.':
        plain = plain and text[whole] != c'e'
        whole += 1
    for place in range(<int>size):
        plain = plain and text[place] != c'e'
    plain = plain and whole - (text[0] == c'-') <= MOST_WHOLE_DIGITS
    if plain:
        out.put(<const unsigned char*>text, size)
    PyMem_Free(text)
    return plain


cdef inline unsigned long long number_at(Document* document, Py_ssize_t at, int size) noexcept:
    """Read a little-endian number, which must be there."""
    cdef unsigned long long number = 0
    cdef int place
    for place in range(size):
        number |= <unsigned long long>document.octets[at + place] << (8 * place)
    return number


cdef bint write_string(Document* document, Py_ssize_t at, Output out) except -1:
    cdef Py_ssize_t length = 0
    cdef int shift = 0
    cdef unsigned char octet = 0x80
    while octet & 0x80:
        if at >= document.size or shift > 28:
            return False
        octet = document.octets[at]
        length |= <Py_ssize_t>(octet & 0x7F) << shift
        shift += 7
        at += 1
    return length <= document.size - at and write_quoted(document.octets + at, length, out)


cdef bint write_quoted(const unsigned char* text, Py_ssize_t size, Output out) except -1:
    cdef Py_ssize_t at, done = 0
    cdef unsigned char octet
    if not is_utf8(text, size):
        return False
    out.put_byte(c'"')
    for at in range(size):
        octet = text[at]
        if octet >= 0x20 and octet != c'"' and octet != c'\\':
            continue
        out.put(text + done, at - done)
        done = at + 1
        put_escaped(octet, out)
    out.put(text + done, size - done)
    out.put_byte(c'"')
    return True


cdef int put_escaped(unsigned char octet, Output out) except -1:
    out.put_byte(c'\\')
    if octet == c'"' or octet == c'\\':
        out.put_byte(octet)
    elif octet == 8:
        out.put_byte(c'b')
    elif octet == 9:
        out.put_byte(c't')
    elif octet == 10:
        out.put_byte(c'n')
    elif octet == 12:
        out.put_byte(c'f')
    elif octet == 13:
        out.put_byte(c'r')
    else:
        out.put(b"u00", 3)
        out.put_byte(HEX[octet >> 4])
        out.put_byte(HEX[octet & 15])
    return 0


cdef bint write_container(Document* document, int kind, Py_ssize_t begin, int depth, Output out) except -1:
    """Append an object or an array: keys and values are found by their offsets from `begin`."""
    cdef int width = 4 if kind & 1 else 2
    cdef bint is_object = kind <= 1
    cdef Py_ssize_t count, index, keys, values, at, offset, length
    cdef int member
    if document.size - begin < 2 * width:
        return False
    count = <Py_ssize_t>number_at(document, begin, width)
    keys = begin + 2 * width
    values = keys + count * (width + 2) if is_object else keys
    if values > document.size or count * (width + 1) > document.size - values:
        return False
    out.put_byte(c'{' if is_object else c'[')
    for index in range(count):
        if index:
            out.put(b", ", 2)
        if is_object:
            at = keys + index * (width + 2)
            offset = begin + <Py_ssize_t>number_at(document, at, width)
            length = <Py_ssize_t>number_at(document, at + width, 2)
            if offset > document.size or length > document.size - offset:
                return False
            if not write_quoted(document.octets + offset, length, out):
                return False
            out.put(b": ", 2)
        at = values + index * (width + 1)
        member = document.octets[at]
        # literals and small numbers stand in the place of their offset
        if member == 4 or member == 5 or member == 6 or (width == 4 and (member == 7 or member == 8)):
            offset = at + 1
        else:
            offset = begin + <Py_ssize_t>number_at(document, at + 1, width)
        if offset > document.size or not write_value(document, member, offset, depth, out):
            return False
    out.put_byte(c'}' if is_object else c']')
    return True
