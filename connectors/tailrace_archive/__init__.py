"""The archive: topics of the log as files and tables for batch readers, exactly once."""
