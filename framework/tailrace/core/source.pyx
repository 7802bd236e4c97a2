"""The source block of Debezium's envelope: what is the same for all changes of an origin is encoded once.

An origin that has `steady_block` gives a block in which `At` stands for what depends on a change's `at`, and nothing
else does. The bytes between these marks are kept; per change only the marks are filled in. Other origins are asked for
a whole block for every change.
"""

from tailrace.core.change cimport ChangeFields
from tailrace.core.output cimport Output

from tailrace.errors import BadRecord
from tailrace.core.plan import At

cdef enum:
    LONGEST_NUMBER = 24

cdef enum Kind:
    OTHER
    STRING
    LONG

cdef long long BIG = 1LL << 62


cdef class SourcePlan:
    """Writes the source blocks of one version of a table. `fields` has one `FieldPlan` for each field."""

    def __cinit__(self, fields):
        self.fields = [SourceField(field) for field in fields]
        self.count = len(fields)
        self.fixed = Output()
        self.told = Output()
        self.texts = []

    cdef int write(self, ChangeFields change, Output out) except -1:
        """Append the block of a change; raises BadRecord where a value does not fit its field."""
        at = change.at
        if self.knows(change.origin, change.table) and -BIG < at < BIG:
            return self.write_steady(at, out)
        values = change.origin.source_block(change)
        if len(values) != self.count:
            raise BadRecord("source block does not fit its schema")
        cdef int index
        for index in range(self.count):
            self.put_field(index, values[index], out)
        return 0

    cdef bint knows(self, origin, table) except -1:
        """Whether `write_steady` can do the blocks of an origin's changes; raises as `write` does."""
        if self.origin is not origin:
            self.is_steady = self.learn(origin, table)
            self.origin = origin
        return self.is_steady

    cdef int write_steady(self, long long at, Output out) except -1:
        """Append the block of a change, marked `at`, of the origin that is known."""
        if not self.is_told or self.told_at != at:  # all rows of a chunk have one block
            self.told.size = 0
            self.put_fixed(at, self.told)
            self.is_told, self.told_at = True, at
        return out.put(self.told.data, self.told.size)

    cdef bint learn(self, origin, table) except -1:
        """Encode what is the same for all changes of an origin; False where the origin does not tell."""
        self.origin = None  # until all of it is known
        self.is_told = False
        steady_block = getattr(origin, "steady_block", None)
        if steady_block is None:
            return False
        values = steady_block(table)
        if len(values) != self.count:
            return False
        self.fixed.size = 0
        self.mark_count = 0
        self.texts.clear()
        cdef int index
        cdef SourceField field
        for index, value in enumerate(values):
            if type(value) is not At:
                self.put_field(index, value, self.fixed)
                continue
            field = self.fields[index]
            if self.mark_count == MOST_MARKS or field.kind != (LONG if value.before is None else STRING):
                return False
            if field.branch >= 0:
                self.fixed.put_byte(<unsigned char>field.branch)
            self.marks[self.mark_count] = Mark(index, self.fixed.size, value.shift, value.mask)
            self.mark_count += 1
            self.texts.append(None if value.before is None else (value.before.encode(), value.after.encode()))
        return True

    cdef int put_fixed(self, long long at, Output out) except -1:
        cdef Py_ssize_t done = 0
        cdef unsigned char[LONGEST_NUMBER] digits
        cdef int index, size = -1
        cdef bytes before, after
        for index in range(self.mark_count):
            out.put(self.fixed.data + done, self.marks[index].end - done)
            done = self.marks[index].end
            if self.texts[index] is None:
                out.put_long(at >> self.marks[index].shift & self.marks[index].mask)
                continue
            if size < 0:
                size = decimal(at, digits)
            before, after = <tuple>self.texts[index]
            out.put_long(len(before) + size + len(after))
            out.put_bytes(before)
            out.put(digits + LONGEST_NUMBER - size, size)
            out.put_bytes(after)
        return out.put(self.fixed.data + done, self.fixed.size - done)

    cdef int put_field(self, int index, value, Output out) except -1:
        """Append one field, the branch of its union included."""
        cdef SourceField field = self.fields[index]
        cdef bytes text
        if type(value) is str and field.kind == STRING:
            text = (<str>value).encode()
        elif type(value) is not int or field.kind != LONG or not -BIG < value < BIG:
            return out.put_bytes(field.write(value))
        if field.branch >= 0:
            out.put_byte(<unsigned char>field.branch)
        if field.kind == LONG:
            return out.put_long(value)
        out.put_long(len(text))
        return out.put_bytes(text)


cdef int decimal(long long number, unsigned char* digits) noexcept:
    """Write a number of less than `BIG` to the end of `LONGEST_NUMBER` octets; return how many it takes."""
    cdef long long rest = -number if number < 0 else number
    cdef int size = 0
    while rest or not size:
        size += 1
        digits[LONGEST_NUMBER - size] = <unsigned char>(c'0' + rest % 10)
        rest //= 10
    if number < 0:
        size += 1
        digits[LONGEST_NUMBER - size] = c'-'
    return size


cdef class SourceField:
    """How one field is written, as its `FieldPlan` says."""

    cdef Kind kind
    cdef int branch
    cdef object write

    def __cinit__(self, plan):
        self.kind = LONG if plan.kind == "long" else STRING if plan.kind == "string" else OTHER
        self.branch = -1 if plan.branch is None else plan.branch
        self.write = plan.write
