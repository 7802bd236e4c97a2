"""The records of one batch, taken out of its bytes once they are decompressed.

Takes what is sound, as nearly everything is; where a single octet does not fit it gives up, and its Python twin
(`tailrace.log.store.record`, which draws the format) reads the batch again, or says what is wrong with it.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject, PyTypeObject
from cpython.unicode cimport PyUnicode_DecodeUTF8

from tailrace.core.input cimport Input, read_long, take

cdef extern from "Python.h":
    PyTypeObject PyTuple_Type


def read_records(bytes data not None, frame not None, type kind not None):
    """Return the records in `data`, tuples of type `kind`; None where they are not exactly what `frame` says."""
    cdef Input octets
    octets.at = data
    octets.end = octets.at + len(data)
    cdef Py_ssize_t count = frame.count
    cdef Py_ssize_t index
    cdef Place place = Place(frame)
    records = []
    for index in range(count):
        record = read_record(&octets, place, kind)
        if record is None:
            return None
        records.append(record)
    return records if octets.at == octets.end else None


cdef class Place:
    """Where the records are, and what the last of them was."""

    cdef object topic
    cdef object partition
    cdef long long base_offset
    cdef long long base_timestamp
    cdef long long last_offset_delta
    cdef long long delta

    def __cinit__(self, frame):
        self.topic, self.partition = frame.topic, frame.partition
        self.base_offset, self.base_timestamp = frame.base_offset, frame.base_timestamp
        self.last_offset_delta = frame.last_offset_delta
        self.delta = -1
        if self.base_offset < 0 or self.base_offset > (1 << 62):
            raise OverflowError(self.base_offset)


cdef object read_record(Input* octets, Place place, type kind):
    """Return the record that begins here, None where it is malformed, or has a number that nobody expects."""
    cdef long long size, since, delta
    cdef const unsigned char* end
    if not read_long(octets, &size) or not 0 < size <= octets.end - octets.at:
        return None
    end = octets.at + size
    octets.at += 1
    if not read_long(octets, &since) or not -(1 << 62) < since < (1 << 62):
        return None
    if not -(1 << 62) < place.base_timestamp < (1 << 62):
        return None
    if not read_long(octets, &delta) or not place.delta < delta <= place.last_offset_delta:
        return None
    place.delta = delta
    cdef bint sound = True
    key = read_octets(octets, &sound)
    value = read_octets(octets, &sound) if sound else None
    headers = read_headers(octets) if sound else None
    if headers is None or octets.at != end:
        return None
    fields = (
        place.topic, place.partition, place.base_offset + delta, place.base_timestamp + since, key, value, headers
    )
    return <object>new_record(kind, (fields,))


cdef object new_record(type kind, tuple arguments):
    """Return `kind(*fields)`, for a subclass of tuple without a `__new__` that does more than tuple's own."""
    return PyTuple_Type.tp_new(kind, <PyObject*>arguments, NULL)


cdef object read_octets(Input* octets, bint* sound):
    """Return sized octets, None for a null; clears `sound` where there is neither."""
    cdef long long size
    cdef const unsigned char* start
    if not read_long(octets, &size):
        sound[0] = False
        return None
    if size == -1:
        return None
    start = take(octets, size)
    if start == NULL:
        sound[0] = False
        return None
    return PyBytes_FromStringAndSize(<const char*>start, <Py_ssize_t>size)


cdef object read_headers(Input* octets):
    """Return the headers that end a record, None where they are malformed."""
    cdef long long count, size
    cdef const unsigned char* name
    cdef bint sound = True
    if not read_long(octets, &count) or not 0 <= count <= octets.end - octets.at:
        return None
    if count == 0:
        return ()
    headers = []
    while count > 0 and sound:
        count -= 1
        name = take(octets, size) if read_long(octets, &size) else NULL
        if name == NULL:
            return None
        try:
            text = PyUnicode_DecodeUTF8(<const char*>name, <Py_ssize_t>size, NULL)
        except UnicodeDecodeError:
            return None
        headers.append((text, read_octets(octets, &sound)))
    return headers if sound else None
