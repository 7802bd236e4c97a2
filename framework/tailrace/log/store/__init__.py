"""log/store."""
