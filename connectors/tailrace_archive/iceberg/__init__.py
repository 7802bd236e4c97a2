"""The sink `iceberg`: topics as tables of Apache Iceberg, through pyiceberg. Nothing here does it by itself."""
