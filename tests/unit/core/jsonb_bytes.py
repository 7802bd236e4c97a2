"""Documents in MySQL's binary JSON, written by the description of the format; and damaged ones."""

from __future__ import annotations

from struct import pack
from typing import TypeAlias

from hypothesis import strategies as st

Node: TypeAlias = "None | bool | int | float | str | bytes | list[Node] | dict[str, Node]"
"""Bytes are an opaque value: its type, its length, what it holds."""


def jsonb(node: Node, *, large: bool = False) -> bytes:
    """A document; its containers are small or large."""
    kind, value = _value(node, large=large)
    return bytes((kind,)) + value


def _value(node: Node, *, large: bool) -> tuple[int, bytes]:  # noqa: PLR0911 - one for each kind of value
    match node:
        case None | True | False:
            return 4, bytes(({None: 0, True: 1, False: 2}[node],))
        case int():
            return _integer(node)
        case float():
            return 11, pack("<d", node)
        case str():
            return 12, _sized(node.encode("utf-8", "surrogatepass"))
        case bytes():
            return 15, node
        case list():
            return (3 if large else 2), _container([], node, large=large)
        case _:
            return (1 if large else 0), _container(list(node), list(node.values()), large=large)


def _integer(number: int) -> tuple[int, bytes]:
    for kind, form, low, high in (
        (5, "<h", -(2**15), 2**15 - 1), (6, "<H", 0, 2**16 - 1), (7, "<i", -(2**31), 2**31 - 1),
        (8, "<I", 0, 2**32 - 1), (9, "<q", -(2**63), 2**63 - 1),
    ):  # fmt: skip
        if low <= number <= high:
            return kind, pack(form, number)
    return 10, pack("<Q", number)


def _sized(octets: bytes) -> bytes:
    size, head = len(octets), b""
    while size > 0x7F:
        head += bytes((size & 0x7F | 0x80,))
        size >>= 7
    return head + bytes((size,)) + octets


def _container(keys: list[str], values: list[Node], *, large: bool) -> bytes:
    width = 4 if large else 2
    inline = {4, 5, 6, 7, 8} if large else {4, 5, 6}
    at = 2 * width + len(keys) * (width + 2) + len(values) * (width + 1)
    heads, bodies = b"", b""
    for key in keys:
        octets = key.encode("utf-8", "surrogatepass")
        heads += (at + len(bodies)).to_bytes(width, "little") + pack("<H", len(octets))
        bodies += octets
    for value in values:
        kind, octets = _value(value, large=large)
        if kind in inline:
            heads += bytes((kind,)) + octets.ljust(width, b"\0")
        else:
            heads += bytes((kind,)) + (at + len(bodies)).to_bytes(width, "little")
            bodies += octets
    return len(values).to_bytes(width, "little") + (at + len(bodies)).to_bytes(width, "little") + heads + bodies


OPAQUE = [
    b"\xf6\x06\x04\x02\x80\x01\x0a\x00",  # a decimal
    b"\x0a\x08" + bytes(8),
    b"\xfc\x02ab",
]


def nodes() -> st.SearchStrategy[Node]:
    """Values of every type."""
    leaves: st.SearchStrategy[Node] = (
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.integers(-70000, 70000)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.floats(-1e18, 1e18)
        | st.text(max_size=12)
        | st.text('"\\/\b\f\n\r\t\x00\x1f\x7f', max_size=6)
        | st.sampled_from(OPAQUE)
    )
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=8,
    )


def documents() -> st.SearchStrategy[bytes]:
    """Documents, and such with an octet changed or an end cut off."""
    sound = st.tuples(nodes(), st.booleans()).map(lambda pair: jsonb(pair[0], large=pair[1]))
    damage = st.none() | st.none() | st.tuples(st.integers(0, 40), st.binary(max_size=2))
    return st.tuples(sound, damage).map(
        lambda parts: (
            parts[0] if parts[1] is None else parts[0][: parts[1][0]] + parts[1][1] + parts[0][parts[1][0] + 1 :]
        )
    )
