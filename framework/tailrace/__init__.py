"""Tailrace: change data capture from Postgres and MySQL into a log of Avro events.

This package is the framework; connectors are packages of their own, found by entry point.
"""

from importlib.metadata import version

__version__ = version("tailrace")
