"""Apache Spark in this process, with Iceberg and Avro: PyPI's pyspark beside the venv, and jars by way of Maven.

Together they are half a gigabyte, so that they are fetched for `make readers` alone, once; they rest in the cache.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers import jars

REQUIREMENT = "pyspark==4.1.1"
SOURCES = Path(__file__).with_name("spark")


def install() -> Path:
    """Return the folder of the programs, fetched first if they are not there."""
    folder = jars.place(REQUIREMENT.replace("==", "-"), SOURCES)
    jars.install(folder, _make)
    return folder


def _make(folder: Path) -> None:
    jars.copy_jars(SOURCES, folder / "jars")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder / "python"), REQUIREMENT]
    subprocess.run(pip, check=True)


@contextmanager
def session(settings: Mapping[str, str]) -> Iterator[Any]:
    """A `SparkSession` of one thread, in UTC."""
    folder = install()
    sys.path.append(str(folder / "python"))
    builder = importlib.import_module("pyspark.sql").SparkSession.builder.master("local[1]")
    fixed = {
        "spark.jars": ",".join(map(str, sorted((folder / "jars").glob("*.jar")))),
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
    }
    for name, value in {**fixed, **settings}.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    try:
        yield spark
    finally:
        spark.stop()
