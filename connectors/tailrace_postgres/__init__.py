"""Postgres: a source that tails the logical replication stream, and its snapshot."""
