"""Positions: where a source resumes.

A position is made by a source, kept by a sink inside its own commits, and read back only by a source of the
same kind. To everything in between it is opaque: it can be stored and tested for equality, never ordered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]

Position: TypeAlias = Mapping[str, Json]
"""A JSON object. Names a point of the source between two items: everything before it has been handed out."""
