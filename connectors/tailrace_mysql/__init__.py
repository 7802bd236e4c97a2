"""MySQL and MariaDB: a source that tails the binlog, and its snapshot."""
