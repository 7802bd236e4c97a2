"""Partitions are chosen as Kafka's default partitioner chooses them."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from tailrace.log.store.partitioner import murmur2, partition_of


@given(data=st.binary(max_size=40))
def test_the_hash_is_kafkas(data: bytes) -> None:
    assert murmur2(data) & 0x7FFFFFFF == aiokafka_murmur2(data) & 0x7FFFFFFF


@pytest.mark.parametrize(
    ("key", "value"), [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536)]
)
def test_vectors_of_kafkas_own_tests(key: bytes, value: int) -> None:
    assert murmur2(key) == value & 0xFFFFFFFF


@given(key=st.binary(max_size=20), count=st.integers(1, 50))
def test_a_key_always_goes_to_the_same_place(key: bytes, count: int) -> None:
    assert 0 <= partition_of(key, count) < count
    assert partition_of(key, count) == partition_of(key, count)


def test_records_without_a_key_stay_in_order() -> None:
    assert {partition_of(None, 7) for _ in range(100)} == {0}
