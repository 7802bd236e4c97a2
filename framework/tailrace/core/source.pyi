from collections.abc import Sequence
from typing import final

from tailrace.core.plan import FieldPlan

@final
class SourcePlan:
    def __init__(self, fields: Sequence[FieldPlan]) -> None: ...
