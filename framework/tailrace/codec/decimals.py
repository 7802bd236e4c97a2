"""Decimals as Connect and Debezium write them: the unscaled integer in two's complement, and a scale.

    Decimal              => unscaled          big-endian two's complement in as few bytes as hold it
    VariableScaleDecimal => scale unscaled    the scale stands in the value, not in the schema

A number that is not finite has no unscaled integer and is written as *no bytes at all*: a Java `BigInteger` refuses
them, so a reader that does not know of this fails loudly instead of seeing a wrong number. What kind of number it is
then stands in the scale: 0 NaN, 1 Infinity, -1 -Infinity; a Decimal of fixed scale can only be NaN.
See docs/decisions/0004-special-decimals.md. No rounding anywhere: a value that does not fit its scale is refused.
"""

from __future__ import annotations

from decimal import Context, Decimal

from tailrace.errors import BadRecord

NAN = Decimal("NaN")
INFINITY = Decimal("Infinity")
NEGATIVE_INFINITY = Decimal("-Infinity")

_SPECIAL_OF_SCALE = {0: NAN, 1: INFINITY, -1: NEGATIVE_INFINITY}

_EXACT = Context(prec=999_999_999, Emax=999_999_999, Emin=-999_999_999)
"""`scaleb` under it never rounds: the default context would cut a number to 28 digits."""


def integer_bytes(number: int) -> bytes:
    """Return `number` as Java's `BigInteger.toByteArray` does: two's complement, big-endian, never empty."""
    magnitude = number if number >= 0 else ~number
    return number.to_bytes(magnitude.bit_length() // 8 + 1, "big", signed=True)


def unscaled_bytes(value: Decimal, scale: int) -> bytes:
    """Return the unscaled bytes of `value` at a fixed `scale`; raises `BadRecord` where it does not fit exactly."""
    try:
        numerator, denominator = value.as_integer_ratio()
    except ValueError:  # NaN
        return b""
    except OverflowError as error:
        raise BadRecord("an infinite decimal has no form with a fixed scale") from error
    if scale >= 0:
        numerator *= 10**scale
    else:
        denominator *= 10**-scale
    unscaled, rest = divmod(numerator, denominator)
    if rest:
        raise BadRecord(f"decimal has more digits than its scale of {scale} holds")
    return integer_bytes(unscaled)


def variable_scale(value: Decimal) -> tuple[int, bytes]:
    """Return scale and unscaled bytes of `value` with the very digits that it has."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        if exponent == "F":
            return (-1 if sign else 1), b""
        return 0, b""
    if exponent > 0:
        return -exponent, unscaled_bytes(value, -exponent)
    unscaled = int(value.scaleb(-exponent, _EXACT)) if digits != (0,) else 0
    return -exponent, integer_bytes(unscaled)


def decimal_of(unscaled: bytes, scale: int) -> Decimal:
    """Return the decimal of a fixed scale, exactly; no bytes are NaN."""
    if not unscaled:
        return NAN
    return Decimal(int.from_bytes(unscaled, "big", signed=True)).scaleb(-scale, _EXACT)


def variable_decimal_of(scale: int, unscaled: bytes) -> Decimal:
    """Return the decimal of a VariableScaleDecimal, exactly; raises `BadRecord` for a special that there is not."""
    if unscaled:
        return decimal_of(unscaled, scale)
    special = _SPECIAL_OF_SCALE.get(scale)
    if special is None:
        raise BadRecord(f"variable scale decimal without a value has unknown scale {scale}")
    return special
