"""The text of a point in time, ISO 8601 in UTC, as microseconds since 1970. See instant.pyx."""

cdef bint instant_of(const unsigned char* octets, Py_ssize_t size, long long* micros) noexcept
