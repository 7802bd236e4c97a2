"""Cells in Postgres' binary form for the tests of the compiled core: what its send functions give, and near misses."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from struct import pack

from hypothesis import strategies as st

DAY = 86_400 * 10**6
NAN, INFINITY, NEGATIVE_INFINITY = 0xC000, 0xD000, 0xF000


def numeric(text: str) -> bytes:
    """Return what numeric_send gives of a finite number."""
    sign, digits, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)
    scale = max(-exponent, 0)
    whole = "".join(map(str, digits)) + "0" * max(exponent, 0)
    fraction = whole[len(whole) - scale :].rjust(scale, "0") if scale else ""
    whole = whole[: len(whole) - scale] if scale else whole
    whole = whole.rjust(-(-len(whole) // 4) * 4, "0")
    fraction = fraction.ljust(-(-len(fraction) // 4) * 4, "0")
    groups = [int((whole + fraction)[at : at + 4]) for at in range(0, len(whole + fraction), 4)]
    weight = len(whole) // 4 - 1
    while groups and groups[0] == 0:
        groups.pop(0)
        weight -= 1
    while groups and groups[-1] == 0:
        groups.pop()
    return pack(f">HhHH{len(groups)}H", len(groups), weight if groups else 0, 0x4000 * sign, scale, *groups)


NUMERICS = [
    "0", "0.00", "1.10", "100", "-128", "127", "128", "-129", "-32768", "0.0001", "0.00001", "-9999.9999", "9" * 304,
    "12345678901234567890123.456", "-" + "9" * 309, "1" + "0" * 50, "0." + "0" * 29 + "1",
]  # fmt: skip
JUNK_NUMERICS = [
    pack(">HhHH", 0, 0, special, 0) for special in (NAN, INFINITY, NEGATIVE_INFINITY, 7)
] + [
    pack(">HhHHH", 1, 0, 0, 0, 10_000), pack(">HhHHH", 1, 0, 0, 0x4000, 1), pack(">HhHHH", 1, -1, 0, 1, 1234),
    pack(">HhHHH", 1, 32_767, 0, 0, 1), pack(">HhHHH", 1, -32_768, 0, 9, 1), pack(">HhHH", 0, -1, 0x4000, 3),
    pack(">HhHH", 0, -90, 0, 3), pack(">HhHHH", 1, 76, 0, 0, 9), pack(">HhHHH", 1, 10, 0, 290, 9),
]  # fmt: skip
MOMENTS = [
    0, 1, -1, 2**63 - 1, -(2**63), 2**63 - 2, 1 - 2**63, -946_684_800 * 10**6, 8_000_000_000_000_000_000,
    252_455_615_999_999_999, 252_455_616_000_000_000, -63_082_281_600_000_000, -63_082_281_600_000_001,
    9_223_372_036_854_775_807 - 946_684_800_000_000, 9_223_372_036_854_775_808 - 946_684_800_000_000,
]  # fmt: skip
DAYS = [0, -1, 2**31 - 1, -(2**31), 2**31 - 2, 1 - 2**31, 2**31 - 10_958, 2**31 - 10_957, -10_957, -730_119]
TEXTS = [b"", b"plain", "gr\u00fc\u00dfe \u20ac \U0001f600".encode(), b"\xff", b"\xc0\x80", b"12345678\xc3", b"\x00"]


def packed(form: str, numbers: Sequence[int], low: int, high: int) -> st.SearchStrategy[bytes]:
    return (st.sampled_from(numbers) | st.integers(low, high)).map(lambda number: pack(form, number))


texts = st.sampled_from(TEXTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map(str.encode)
moments = packed(">q", MOMENTS, -63_113_904_000_000_000, 252_455_616_000_000_000)
times = packed(">q", [0, DAY, DAY + 1, -1], 0, DAY)
numerics = (
    st.sampled_from([numeric(text) for text in NUMERICS] + JUNK_NUMERICS)
    | st.decimals(-(10**12), 10**12, places=2).map(str).map(numeric)
    | st.tuples(st.integers(-(10**45), 10**45), st.integers(0, 30)).map(lambda n: numeric(f"{n[0]}e-{n[1]}"))
)
items = st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), max_size=4).map(
    lambda numbers: (
        pack(">iiI", bool(numbers), None in numbers, 23)
        + (pack(">ii", len(numbers), 1) if numbers else b"")
        + b"".join([pack(">i", -1) if number is None else pack(">ii", 4, number) for number in numbers])
    )
)
CELLS: dict[str, st.SearchStrategy[bytes]] = {
    "bool": st.sampled_from([b"\0", b"\1", b"\2"]),
    "int2": packed(">h", [0], -(2**15), 2**15 - 1),
    "int4": packed(">i", [0], -(2**31), 2**31 - 1),
    "int8": packed(">q", [0, 2**63 - 1, -(2**63)], -(2**63), 2**63 - 1),
    "oid": packed(">I", [0, 2**32 - 1], 0, 2**32 - 1),
    "float4": st.floats(width=32).map(lambda number: pack(">f", number)) | st.binary(min_size=4, max_size=4),
    "float8": st.floats().map(lambda number: pack(">d", number)) | st.binary(min_size=8, max_size=8),
    "bytea": st.binary(max_size=20),
    "text": texts,
    "json": texts,
    "jsonb": texts.map(lambda text: b"\1" + text),
    "uuid": st.binary(min_size=16, max_size=16),
    "numeric": numerics,
    "date": packed(">i", DAYS, -730_200, 2_921_950),
    "time": times,
    "timestamp": moments,
    "timestamptz": moments,
    "interval": st.builds(pack, st.just(">qii"), st.integers(-(2**62), 2**62), st.just(-3), st.integers(-40, 40)),
    "bit": st.integers(0, 7).map(lambda bits: pack(">iB", 3, bits << 5)),
    "int4[]": items,
}
"""By the type, without its modifier."""


def cells(spelling: str) -> st.SearchStrategy[bytes]:
    """Cells of one type, and the same with something wrong about them."""
    sound = CELLS[spelling.partition("(")[0]]
    return sound | st.tuples(sound, st.integers(0, 20), st.binary(max_size=2)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] + 1 :]
    )
