"""Avro schemas that Tailrace itself defines, as `.avsc` files, and their loader."""
