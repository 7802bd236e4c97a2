"""Blocks of Kafka records. See block.pyx."""

from tailrace.core.output cimport Output


cdef class Cursor:
    cdef bytes data
    cdef Py_ssize_t at

    cdef int skip(self, Py_ssize_t count) except -1
    cdef const unsigned char* octets_at(self, Py_ssize_t count) except NULL
    cdef long long varint(self) except? -1
    cdef bytes octets(self)


cdef class Block:
    cdef readonly str topic
    cdef readonly int partition
    cdef readonly int count
    cdef Output out
    cdef Output headers
    cdef long long base_timestamp
    cdef long long max_timestamp

    cdef int note(self, long long timestamp) noexcept
    cdef int put_moved(self, long long since, Cursor cursor, Py_ssize_t rest) except -1
    cdef int add(
        self,
        long long timestamp,
        const unsigned char* key,
        Py_ssize_t key_size,
        const unsigned char* value,
        Py_ssize_t value_size,
        Output headers,
    ) except -1


cdef class Topic:
    cdef readonly str name
    cdef int partitions
    cdef list open  # one block or None for each partition

    cdef int partition_of(self, const unsigned char* key, Py_ssize_t size) noexcept


cdef class Blocks:
    cdef object count_partitions
    cdef Py_ssize_t most
    cdef dict topics
    cdef list blocks  # of all partitions, in the order in which they were begun
    cdef Output no_headers

    cdef Topic topic(self, str name)
    cdef int add(
        self,
        Topic topic,
        long long timestamp,
        const unsigned char* key,
        Py_ssize_t key_size,
        const unsigned char* value,
        Py_ssize_t value_size,
        Output headers,
    ) except -1
    cdef Block block_of(self, Topic topic, int partition)
