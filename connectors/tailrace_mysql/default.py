"""Defaults of columns as Debezium puts them into schemas.

A default is known from declarations only. A literal is read as a value of the type is; the current time stands as the
type's zero; what cannot be read gives no default.
"""

from __future__ import annotations

from tailrace.errors import BadRecord
from tailrace.schema import MISSING, Missing, Value
from tailrace_mysql.form import Form
from tailrace_mysql.shape import ColumnShape

_NOW = "CURRENT_TIMESTAMP"


def default_of(column: ColumnShape, form: Form) -> Value | Missing:
    """Return the default of a column; `MISSING` where it has none, or one that is not known."""
    if column.default is None or column.generated or column.default.upper().startswith(_NOW):
        return MISSING
    try:
        value = form.from_text(column.default.encode())
    except (BadRecord, ValueError):
        return MISSING
    return MISSING if value is None else value
