"""How the process of a task begins: `python -m tailrace.runtime.launch`, which imports `process.py` and runs it."""

from __future__ import annotations

import sys

from tailrace.runtime.spare import importing


def main() -> int:
    """Run the task that stdin describes; return the exit code."""
    with importing():
        from tailrace.runtime import process
    return process.main()


if __name__ == "__main__":
    sys.exit(main())
