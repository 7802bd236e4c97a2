"""Snapshots: reading what is there already while the stream flows; what all databases share of it, without I/O."""
