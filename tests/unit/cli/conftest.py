from __future__ import annotations

from unit.runtime.strangers import strangers

__all__ = ["strangers"]
