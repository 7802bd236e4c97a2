"""Search: OpenSearch and Elasticsearch by their bulk API, and an index in one SQLite file."""
