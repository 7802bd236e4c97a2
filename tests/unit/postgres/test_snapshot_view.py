"""What a read saw: ids that wrap, gaps, places."""

from __future__ import annotations

import json

import pytest

from tailrace_postgres.view import SnapshotView, view_from_json


@pytest.mark.parametrize(
    ("text", "seen", "unseen"),
    [
        ("10:20:12,15", [1, 9, 10, 11, 13, 19], [12, 15, 20, 21, 500]),
        ("10:10:", [9, 3], [10, 11]),
        # 2^32 = 4294967296: the ids of the stream are those modulo it.
        ("4294967290:4294967300:4294967295,4294967297", [4294967280, 4294967294, 0, 2, 3], [4294967295, 1, 4, 5]),
        ("8589934600:8589934600:", [7, 4294967295, 4294967000], [8, 9, 1000]),
    ],
)
def test_sees(text: str, seen: list[int], unseen: list[int]) -> None:
    view = SnapshotView(text, 0)
    assert [xid for xid in seen if not view.sees(xid)] == []
    assert [xid for xid in unseen if view.sees(xid)] == []


def test_passed() -> None:
    view = SnapshotView("1:1:", 100)
    assert not view.passed(99)
    assert view.passed(100)


def test_views_survive_in_positions() -> None:
    view = SnapshotView("10:20:12,15", 0x16_B374D848)
    again = view_from_json(json.loads(json.dumps(view.to_json())))
    assert (again.text, again.high) == (view.text, view.high)
