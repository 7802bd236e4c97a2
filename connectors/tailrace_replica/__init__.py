"""The replica sink: a database that holds what the captured tables hold. Postgres, MySQL, MariaDB, SQLite, DuckDB."""
