"""A growing buffer of octets, and Avro's variable-length integers. See output.pyx."""

cimport cython
from libc.string cimport memcpy


cdef inline int long_size(long long number) noexcept nogil:
    """Return how many bytes `put_long` takes for `number`: 1 to 10."""
    cdef unsigned long long rest = (<unsigned long long>number << 1) ^ <unsigned long long>(number >> 63)
    cdef int size = 1
    while rest > 0x7F:
        rest >>= 7
        size += 1
    return size


@cython.final
cdef class Output:
    cdef unsigned char* data
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity

    cdef int grow(self, Py_ssize_t more) except -1
    cdef void clear(self) noexcept
    cdef bytes octets(self, Py_ssize_t start, Py_ssize_t end)

    cdef inline int reserve(self, Py_ssize_t more) except -1:
        """Make room for `more` octets: after it, that many may be stored at `data + size`."""
        if self.capacity - self.size < more:
            self.grow(more)
        return 0

    cdef inline int put_byte(self, unsigned char octet) except -1:
        self.reserve(1)
        self.data[self.size] = octet
        self.size += 1
        return 0

    cdef inline int put(self, const unsigned char* octets, Py_ssize_t size) except -1:
        if size:  # before the first octet there is no memory, and memcpy wants some even for none
            self.reserve(size)
            memcpy(self.data + self.size, octets, <size_t>size)
            self.size += size
        return 0

    cdef inline int put_little(self, long long number, Py_ssize_t width) except -1:
        """Append the `width` low octets of a number, 8 at most, as this machine has them: least significant first."""
        self.reserve(8)
        memcpy(self.data + self.size, &number, 8)  # of a fixed size, which is one instruction; what is too much is written over
        self.size += width
        return 0

    cdef inline int put_near(self, const unsigned char* octets, Py_ssize_t size, const unsigned char* end) except -1:
        """Append octets of a buffer that goes on up to `end`: few of them cost no call."""
        if size > 16 or end - octets < 16:
            return self.put(octets, size)
        self.reserve(16)
        memcpy(self.data + self.size, octets, 16)
        self.size += size
        return 0

    cdef inline int put_bytes(self, bytes octets) except -1:
        return self.put(<const unsigned char*>octets, len(octets))

    cdef inline int put_long(self, long long number) except -1:
        """Append a zig-zag varint: 7 bits a byte, least significant first."""
        cdef unsigned long long rest = (<unsigned long long>number << 1) ^ <unsigned long long>(number >> 63)
        self.reserve(10)
        while rest > 0x7F:
            self.data[self.size] = <unsigned char>(rest & 0x7F | 0x80)
            self.size += 1
            rest >>= 7
        self.data[self.size] = <unsigned char>rest
        self.size += 1
        return 0

    cdef inline int put_big_endian(self, unsigned long long number, int size) except -1:
        """Append the `size` low bytes of `number`, most significant first."""
        cdef int place
        self.reserve(size)
        for place in range(size):
            self.data[self.size + place] = <unsigned char>(number >> (8 * (size - 1 - place)))
        self.size += size
        return 0
