"""Values of 16 octets: decimals as Arrow's decimal128 has them, and UUIDs. See fixed.pyx."""

cdef bint decimal_of(const unsigned char* start, Py_ssize_t size, int digits, unsigned char* number) noexcept
cdef bint uuid_of(const unsigned char* text, Py_ssize_t size, unsigned char* uuid) noexcept
