from tailrace.event import Op, Origin, Row, Table

class ChangeFields:
    table: Table
    op: Op
    before_wire: bytes | None
    after_wire: bytes | None
    origin: Origin
    at: int
    moved: bool
    _before: Row | None
    _after: Row | None
