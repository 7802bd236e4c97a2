"""GTID sets of MySQL against Python's own sets, and positions of MariaDB."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import Fatal
from tailrace_mysql.body import Body
from tailrace_mysql.gtid import GtidPosition, GtidSet

A, B = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "4e11fa47-71ca-11e1-9e33-c80aa9429562"

Member = tuple[str, str, int]

members = st.sets(st.tuples(st.sampled_from([A, B]), st.sampled_from(["", "tag", "a_2"]), st.integers(1, 12)))


def little(number: int) -> bytes:
    return number.to_bytes(8, "little")


def gtid_set(of: set[Member]) -> GtidSet:
    made = GtidSet()
    for uuid, tag, number in of:
        made = made.with_gtid(uuid, number, tag)
    return made


@settings(max_examples=150, deadline=None)
@given(members, members)
def test_gtid_sets_are_sets(one: set[Member], two: set[Member]) -> None:
    first, second = gtid_set(one), gtid_set(two)
    assert GtidSet.parse(str(first)) == first
    assert len(first) == len(one)
    assert bool(first) == bool(one)
    assert first | second == gtid_set(one | two)
    assert first - second == gtid_set(one - two)
    assert first.issuperset(second) == (one >= two)
    for uuid, tag, number in one | two:
        assert first.contains(uuid, number, tag) == ((uuid, tag, number) in one)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        (f"{A.upper()}:1-5", f"{A}:1-5"),
        (f"{A.replace('-', '')}:3:1:2", f"{A}:1-3"),
        (f" {A}:1-3:5,\n{B}:7 ,", f"{A}:1-3:5,{B}:7"),
        (f"{A}:1-5:Tag:1-3:7", f"{A}:1-5:tag:1-3:7"),
        (f"{A}:tag:1-3,{A}:9", f"{A}:9:tag:1-3"),
        (f"{A}:tag:2:other:1-3", f"{A}:other:1-3:tag:2"),
        (f"{A}:5-3", ""),
        (f"{A}:1-10:3-20:20-22", f"{A}:1-22"),
    ],
)
def test_sets_are_read_and_written_as_mysql_does(text: str, canonical: str) -> None:
    assert str(GtidSet.parse(text)) == canonical


@pytest.mark.parametrize("text", ["x", A, f"{A}:", f"{A}:1-", f"{A}:ta-g:1", f"{A}:9tag:1", "0-1-5", f"{A}:1;{B}:2"])
def test_what_is_no_set_is_refused(text: str) -> None:
    with pytest.raises(Fatal, match="no set of GTIDs"):
        GtidSet.parse(text)


def test_sets_are_encoded_for_the_dump() -> None:
    assert GtidSet().encode() == bytes(8)
    uuid = bytes.fromhex(A.replace("-", ""))
    assert GtidSet.parse(f"{A}:1-5:7").encode() == (
        little(1) + uuid + little(2) + little(1) + little(6) + little(7) + little(8)
    )
    assert GtidSet.parse(f"{A}:1-5:tag:2").encode() == (
        b"\1\2\0\0\0\0\0\1" + uuid + b"\0" + little(1) + little(1) + little(6)
        + uuid + b"\x06tag" + little(1) + little(2) + little(3)
    )  # fmt: skip


@pytest.mark.parametrize("text", ["", f"{A}:1-5:7", f"{A}:1-5:tag:2:9,{B}:3"])
def test_sets_are_read_back_as_they_are_encoded(text: str) -> None:
    assert GtidSet.decode(Body(GtidSet.parse(text).encode())) == GtidSet.parse(text)


def test_positions_of_mariadb_hold_the_last_transaction_of_each_domain() -> None:
    position = GtidPosition.parse("1-2-7, 0-1-5")
    assert str(position) == "0-1-5,1-2-7"
    assert GtidPosition.parse(str(position)) == position
    assert str(position.with_gtid(0, 3, 6)) == "0-3-6,1-2-7"
    assert position.contains(0, 5)
    assert not position.contains(0, 6)
    assert not position.contains(2, 1)
    assert position.issuperset(GtidPosition.parse("1-9-7"))
    assert not position.issuperset(GtidPosition.parse("1-2-7,2-1-1"))
    assert position.issuperset(GtidPosition())
    assert not GtidPosition.parse("")
    for text in ("0-1", "0-1-5,0-2-6", f"{A}:1", "a-b-c"):
        with pytest.raises(Fatal, match="no GTID of MariaDB"):
            GtidPosition.parse(text)
