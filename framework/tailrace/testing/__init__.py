"""For authors of sources, sinks and logs: contracts to hold their plug-ins to, scripted sources, fault injection.

Shipped with Tailrace, and used on its own plug-ins in `tests/contracts`. Needs nothing but the standard library:
checks are plain functions that raise `AssertionError`, to be called from whatever runs the tests.
"""
