"""Which format files have; its library is imported when it is needed, and said to be missing in words."""

from __future__ import annotations

from tailrace.errors import ConfigError
from tailrace_archive.config import ArchiveConfig
from tailrace_archive.writing import Format


def format_of(config: ArchiveConfig) -> Format:
    """Return the format; raises `ConfigError` where the libraries of the archive are not installed."""
    try:
        from tailrace_archive.container import AvroFormat
        from tailrace_archive.parquet import ParquetFormat
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("tailrace"):
            raise
        raise ConfigError(
            f"the archive needs {error.name}, which is not installed", hint="pip install 'tailrace[archive]'"
        ) from error
    return AvroFormat(config) if config.format == "avro" else ParquetFormat(config)
