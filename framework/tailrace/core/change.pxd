"""The fields of a change. See change.pyx."""


cdef class ChangeFields:
    cdef public object table
    cdef public object op
    cdef public object before_wire
    cdef public object after_wire
    cdef public object origin
    cdef public object at
    cdef public object moved
    cdef public object _before
    cdef public object _after


cdef ChangeFields new_change(type kind, table, op, before_wire, after_wire, origin, at)
