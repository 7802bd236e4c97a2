"""The fields of a change, where the core reads and writes them without asking Python.

`tailrace.event.Change` says what they mean, and has none of its own.
"""

from cpython.object cimport PyObject, PyTypeObject

cdef extern from "Python.h":
    void PyObject_GC_UnTrack(object)

cdef tuple NO_ARGUMENTS = ()


cdef class ChangeFields:
    """Holds the fields of a change; all None at first."""


cdef ChangeFields new_change(type kind, table, op, before_wire, after_wire, origin, at):
    """Return a change of type `kind`, a subclass of `ChangeFields` without fields of its own, that did not move."""
    cdef ChangeFields change = <ChangeFields?>(<PyTypeObject*>kind).tp_new(kind, <PyObject*>NO_ARGUMENTS, NULL)
    change.table = table
    change.op = op
    change.before_wire = before_wire
    change.after_wire = after_wire
    change.origin = origin
    change.at = at
    change.moved = False
    # Changes come by the thousand and are part of no cycle, since nothing that they hold knows of them: without this,
    # Python's collector of cycles would look at each of them, and take an eighth of the time.
    PyObject_GC_UnTrack(change)
    return change
