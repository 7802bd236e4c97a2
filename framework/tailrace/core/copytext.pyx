"""Rows out of COPY, as the snapshot reads them: one line of text with its newline in each message.

Nothing here looks into a line: `row.pyx` cuts it. Source: Postgres manual, chapter 55 (COPY operations).
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize

from tailrace.core.change cimport new_change


def drain_lines(get_copy_data, rows not None, Py_ssize_t most):
    """Append up to `most` lines to `rows`, a deque, without their newlines.

    Returns what `get_copy_data` gave at last, if that was no line (None: there were `most`), and the bytes taken.
    """
    cdef Py_ssize_t size = 0, count = 0
    cdef Py_buffer view
    while count < most:
        got = get_copy_data(1)
        length, data = got
        if length <= 0:
            return got, size
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            rows.append(PyBytes_FromStringAndSize(<const char*>view.buf, max(view.len - 1, 0)))
            size += max(view.len - 1, 0)
        finally:
            PyBuffer_Release(&view)
        count += 1
    return None, size


def take_lines(rows not None, Py_ssize_t most, Py_ssize_t most_bytes):
    """Return lines from the front of `rows`, a deque, until there are `most` or `most_bytes` of them, and their bytes."""
    cdef list taken = []
    cdef Py_ssize_t size = 0
    cdef bytes line
    while rows and len(taken) < most and size < most_bytes:
        line = rows.popleft()
        size += len(line)
        taken.append(line)
    return taken, size


def row_changes(type kind not None, table, list lines not None, origin, at):
    """Return each line as a row of the snapshot; `kind` is the class of changes."""
    return [new_change(kind, table, "r", None, line, origin, at) for line in lines]
