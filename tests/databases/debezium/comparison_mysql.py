"""Which differences from Debezium's MySQL connector are meant; `comparison.py` finds them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from databases.debezium.comparison import ABSENT, Difference

_ROWS = {"before", "after"}


def _json_without_blanks(value: object) -> str:
    return str(value).replace(", ", ",").replace(": ", ":")


def _without_padding(value: object) -> str:
    return re.sub(r"\.?0*Z$", "", str(value)) if "." in str(value) else str(value).removesuffix("Z")


def _padded_timestamp(d: Difference) -> bool:
    return d.snapshot and "ZonedTimestamp" in d.field and _without_padding(d.ours) == _without_padding(d.theirs)


def _float_of_six_digits(d: Difference) -> bool:
    exact = isinstance(d.ours, float) and isinstance(d.theirs, float)
    return d.snapshot and exact and "'float'" in d.field and f"{d.ours:.6g}" == f"{d.theirs:.6g}"


REASONS: Mapping[str, Callable[[Difference], bool]] = {
    "MySQL: headers": lambda d: d.place == "headers" and d.name.startswith(("__debezium.context.", "__tailrace.")),
    "MySQL: null is null": lambda d: d.ours is None and d.place in _ROWS and "'connect.default'" in d.field,
    "MySQL: JSON as the server prints it": lambda d: (
        d.name == "j" and not d.snapshot and _json_without_blanks(d.ours) == _json_without_blanks(d.theirs)
    ),
    "MySQL: zeros at the end of timestamps": _padded_timestamp,
    "MySQL: floats in the snapshot": _float_of_six_digits,
    "MySQL: quotes and zeros in defaults": lambda d: d.place == "schema" and d.name in {"vc", "bind"},
    "MySQL: commas in members of enums": lambda d: d.place in _ROWS and d.theirs == str(d.ours).replace(",", "\\,"),
    "MySQL: tombstones without a key": lambda d: d.place == "records" and d.theirs == "a tombstone without a key",
}
"""How to tell each of the meant differences; the first that fits counts."""

MARIADB_REASONS: Mapping[str, Callable[[Difference], bool]] = {
    "MariaDB: uuids in the stream": lambda d: not d.snapshot and "io.debezium.data.Uuid" in d.field,
    "MariaDB: the zero of timestamps": lambda d: (
        not d.snapshot and d.ours == "1970-01-01T00:00:00Z" and d.theirs == "1970-01-01T00:00:00.00Z"
    ),
}
"""The same, of what MariaDB's connector has beside them."""


def compared(difference: Difference) -> bool:
    """Whether a difference is of tables and rows, rather than of the source block."""
    if difference.place in {"source", "envelope"}:
        return False
    return not (
        difference.place == "schema" and difference.name.endswith(("-value", "-key")) and difference.ours != ABSENT
    )


def reason(difference: Difference, reasons: Mapping[str, Callable[[Difference], bool]] = REASONS) -> str | None:
    """Return the heading in docs/debezium-differences.md that explains `difference`."""
    return next((name for name, explains in reasons.items() if explains(difference)), None)
