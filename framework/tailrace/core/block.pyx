"""Blocks of Kafka records: what stands in a record batch after its header, ready to be written.

    Record => Length          varint, bytes that follow
              Attributes      int8, 0
              TimestampDelta  varint, to the block's first timestamp
              OffsetDelta     varint, counted from 0
              KeyLength       varint, -1 for null
              Key
              ValueLength     varint, -1 for null
              Value
              HeadersCount    varint
              Header*      => KeyLength varint, Key, ValueLength varint (-1 for null), Value

All varints are zig-zag. Records are sorted into blocks by topic and partition, and stay in order within each.
Source: Kafka's `DefaultRecord`; `Utils.murmur2` and `BuiltInPartitioner` for the choice of the partition.
"""

from tailrace.core.output cimport Output, long_size

from tailrace.errors import BadRecord

cdef enum:
    MOST_RECORDS = 10000  # of a block: a reader takes a batch as a whole
    MOST_BYTES = 1 << 30  # of a record: a batch has to fit in one segment file, whose places are numbers of 32 bits


cdef class Block:
    """Records of one partition. `records` are their bytes; `timestamps` the first and the latest, in ms since 1970."""

    def __cinit__(self, str topic not None, int partition):
        self.topic = topic
        self.partition = partition
        self.out = Output()
        self.headers = Output()

    @property
    def records(self):
        return self.out.octets(0, self.out.size)

    @property
    def size(self):
        return self.out.size

    @property
    def timestamps(self):
        return self.base_timestamp, self.max_timestamp

    cdef int add(
        self,
        long long timestamp,
        const unsigned char* key,
        Py_ssize_t key_size,
        const unsigned char* value,
        Py_ssize_t value_size,
        Output headers,
    ) except -1:
        """Append one record; a size of -1 is a null. `headers` has them as they stand in the record, count included."""
        self.note(timestamp)
        cdef Output out = self.out
        cdef long long since = timestamp - self.base_timestamp
        cdef Py_ssize_t size = 1 + long_size(since) + long_size(self.count) + headers.size
        size += long_size(key_size) + max(key_size, 0) + long_size(value_size) + max(value_size, 0)
        if size > MOST_BYTES:
            raise BadRecord(f"write to {self.topic}: record of {size} bytes, at most {<int>MOST_BYTES} fit")
        out.put_long(size)
        out.reserve(size)
        out.put_byte(0)
        out.put_long(since)
        out.put_long(self.count)
        out.put_long(key_size)
        if key_size > 0:
            out.put(key, key_size)
        out.put_long(value_size)
        if value_size > 0:
            out.put(value, value_size)
        out.put(headers.data, headers.size)
        self.count += 1
        return 0

    cdef int note(self, long long timestamp) noexcept:
        """Take the time of a record that is about to be added."""
        if self.count == 0:
            self.base_timestamp = self.max_timestamp = timestamp
        elif timestamp > self.max_timestamp:
            self.max_timestamp = timestamp
        return 0

    def append(self, record):
        """Add a record that was made elsewhere, whatever topic and partition it names; return the bytes it takes."""
        cdef bytes key = record.key, value = record.value
        cdef const unsigned char* key_octets = NULL
        cdef const unsigned char* value_octets = NULL
        cdef Py_ssize_t key_size = -1, value_size = -1, before = self.out.size
        if key is not None:
            key_octets, key_size = key, len(key)
        if value is not None:
            value_octets, value_size = value, len(value)
        put_headers(record.headers, self.headers)
        self.add(record.timestamp_ms, key_octets, key_size, value_octets, value_size, self.headers)
        return self.out.size - before

    def extend(self, Block other not None):
        """Add the records of another block behind those that are here; return the bytes they take."""
        cdef Py_ssize_t before = self.out.size, size
        cdef Cursor cursor = Cursor(other.records)
        cdef long long timestamp
        cdef int index
        for index in range(other.count):
            size = cursor.varint()
            size += cursor.at
            cursor.skip(1)
            timestamp = other.base_timestamp + cursor.varint()
            cursor.varint()
            self.note(timestamp)
            self.put_moved(timestamp - self.base_timestamp, cursor, size - cursor.at)
        return self.out.size - before

    cdef int put_moved(self, long long since, Cursor cursor, Py_ssize_t rest) except -1:
        """Append the record that a cursor stands in, behind its offset delta, with another place in its block."""
        cdef Output out = self.out
        out.put_long(1 + long_size(since) + long_size(self.count) + rest)
        out.put_byte(0)
        out.put_long(since)
        out.put_long(self.count)
        out.put(cursor.octets_at(rest), rest)
        cursor.skip(rest)
        self.count += 1
        return 0

    def decoded(self):
        """Return each record as key, value, time and headers."""
        cdef Cursor cursor = Cursor(self.records)
        records = []
        for _ in range(self.count):
            cursor.varint()
            cursor.skip(1)
            timestamp = self.base_timestamp + cursor.varint()
            cursor.varint()
            key, value = cursor.octets(), cursor.octets()
            headers = [(cursor.octets().decode(), cursor.octets()) for _ in range(cursor.varint())]
            records.append((key, value, timestamp, headers))
        return records


cdef class Cursor:
    """Reads back what a block wrote; raises IndexError where that ends too early."""

    def __cinit__(self, bytes data not None):
        self.data = data

    cdef int skip(self, Py_ssize_t count) except -1:
        if not 0 <= count <= len(self.data) - self.at:
            raise IndexError(count)
        self.at += count
        return 0

    cdef const unsigned char* octets_at(self, Py_ssize_t count) except NULL:
        """Return where `count` octets begin that are all there."""
        if not 0 <= count <= len(self.data) - self.at:
            raise IndexError(count)
        return <const unsigned char*>self.data + self.at

    cdef long long varint(self) except? -1:
        cdef unsigned long long number = 0
        cdef int shift = 0
        cdef unsigned char octet = 0x80
        while octet & 0x80 and shift < 64:
            octet = self.octets_at(1)[0]
            self.at += 1
            number |= <unsigned long long>(octet & 0x7F) << shift
            shift += 7
        return <long long>(number >> 1) ^ -<long long>(number & 1)

    cdef bytes octets(self):
        cdef Py_ssize_t size = self.varint()
        if size < 0:
            return None
        cdef Py_ssize_t start = self.at
        self.skip(size)
        return self.data[start : self.at]


cdef class Topic:
    """The blocks of one topic that are still being filled."""

    def __cinit__(self, str name, int partitions):
        if partitions < 1:
            raise ValueError(partitions)
        self.name = name
        self.partitions = partitions
        self.open = [None] * partitions

    cdef int partition_of(self, const unsigned char* key, Py_ssize_t size) noexcept:
        """Choose as Kafka's default partitioner does; what has no key goes to one partition, to keep its order."""
        if size < 0 or self.partitions == 1:
            return 0
        return <int>((murmur2(key, size) & 0x7FFFFFFF) % <unsigned int>self.partitions)


cdef class Blocks:
    """Collects records; `take` hands them over. `partitions` tells how many partitions a topic has.

    A block is closed once it has `most` bytes, so that no batch is larger than that and one record.
    """

    def __cinit__(self, partitions, Py_ssize_t most=1 << 20):
        self.count_partitions = partitions
        self.most = most
        self.topics = {}
        self.blocks = []
        self.no_headers = Output()
        self.no_headers.put_byte(0)

    def append(self, record):
        """Add a record that was made elsewhere."""
        cdef Topic topic = self.topic(record.topic)
        cdef bytes key = record.key
        cdef int partition = topic.partition_of(key or b"", -1 if key is None else len(key))
        if record.partition is not None:
            partition = record.partition
            if not 0 <= partition < topic.partitions:
                raise BadRecord(f"topic {topic.name} has {topic.partitions} partitions, no partition {partition}")
        self.block_of(topic, partition).append(record)

    def take(self):
        """Return the blocks filled since the last call, and begin new ones."""
        blocks = self.blocks
        self.blocks = []
        for topic in self.topics.values():
            (<Topic>topic).open = [None] * (<Topic>topic).partitions
        return blocks

    cdef Topic topic(self, str name):
        topic = self.topics.get(name)
        if topic is None:
            topic = self.topics[name] = Topic(name, self.count_partitions(name))
        return <Topic>topic

    cdef int add(
        self,
        Topic topic,
        long long timestamp,
        const unsigned char* key,
        Py_ssize_t key_size,
        const unsigned char* value,
        Py_ssize_t value_size,
        Output headers,
    ) except -1:
        """Append one record to its partition's block; `headers` may be None."""
        cdef Block block = self.block_of(topic, topic.partition_of(key, key_size))
        return block.add(
            timestamp, key, key_size, value, value_size, self.no_headers if headers is None else headers
        )

    cdef Block block_of(self, Topic topic, int partition):
        block = topic.open[partition]
        if block is None or (<Block>block).out.size >= self.most or (<Block>block).count >= MOST_RECORDS:
            block = topic.open[partition] = Block(topic.name, partition)
            self.blocks.append(block)
        return <Block>block


cdef int put_headers(headers, Output out) except -1:
    """Write count and headers as they end a record, instead of what is in `out`."""
    out.clear()
    out.put_long(len(headers))
    for name, value in headers:
        put_sized(name.encode(), out)
        if value is None:
            out.put_long(-1)
        else:
            put_sized(value, out)
    return 0


cdef int put_sized(bytes octets, Output out) except -1:
    out.put_long(len(octets))
    return out.put_bytes(octets)


def partition_hash(bytes key not None):
    """Return Kafka's murmur2 of a key, as an unsigned number."""
    return murmur2(key, len(key))


cdef unsigned int murmur2(const unsigned char* octets, Py_ssize_t size) noexcept:
    cdef unsigned int mixed = 0x9747B28CU ^ <unsigned int>size, word
    cdef Py_ssize_t at
    for at in range(0, size - size % 4, 4):
        word = octets[at] | octets[at + 1] << 8 | octets[at + 2] << 16 | <unsigned int>octets[at + 3] << 24
        word *= 0x5BD1E995U
        word ^= word >> 24
        word *= 0x5BD1E995U
        mixed = mixed * 0x5BD1E995U ^ word
    at = size - size % 4
    if size % 4 == 3:
        mixed ^= <unsigned int>octets[at + 2] << 16
    if size % 4 >= 2:
        mixed ^= <unsigned int>octets[at + 1] << 8
    if size % 4 >= 1:
        mixed ^= octets[at]
        mixed *= 0x5BD1E995U
    mixed ^= mixed >> 13
    mixed *= 0x5BD1E995U
    return mixed ^ mixed >> 15
