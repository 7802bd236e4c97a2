"""Finding libpq's own functions, for the compiled core to call where a call by Python for each message is too slow."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING

from psycopg import OperationalError, pq

from tailrace.core.messages import Tap

if TYPE_CHECKING:
    from tailrace.core.messages import Source


def copy_messages(pgconn: pq.abc.PGconn) -> Source:
    """Return what gives the messages of a COPY of `pgconn`: libpq itself, or psycopg where libpq cannot be found.

    psycopg's compiled modules are linked with a libpq, their own or the system's; asking such a module for a function
    finds it there, wherever that is. The pure-Python one has none, and on Windows modules are not asked that way.
    """
    module = sys.modules[type(pgconn).__module__]
    try:
        library = ctypes.CDLL(module.__file__)
        get, free = (_address(library, name) for name in ("PQgetCopyData", "PQfreemem"))
    except (OSError, AttributeError):
        return pgconn.get_copy_data

    def failure() -> OperationalError:
        return OperationalError(f"receiving copy data failed: {pgconn.get_error_message()}")

    return Tap(pgconn, failure, get=get, free=free)


def _address(library: ctypes.CDLL, name: str) -> int:
    """Return where a function of a library is; raises AttributeError where it has none of that name."""
    return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
