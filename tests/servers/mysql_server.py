"""One MySQL or MariaDB server of a test's own: that of the demo, on the programs of `mysql_programs.py`."""

from tailrace.demo.mysql import MysqlServer, Row

__all__ = ["MysqlServer", "Row"]
