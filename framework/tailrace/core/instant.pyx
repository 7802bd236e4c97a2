"""The text of a point in time, ISO 8601 in UTC, as microseconds since 1970, and nothing that would lose a part of it.

    2024-06-30T10:00:00Z   2024-06-30T10:00:00.120000Z   -4712-01-01T00:00:00Z   +10000-01-01T00:00:00Z
    infinity   -infinity   => the highest and the lowest number but one, as DuckDB has them

It is of no use from Python.
"""

from libc.string cimport memcmp

from tailrace.core.input cimport Input

cdef enum:
    MOST_YEARS = 290000  # of either sign: then 64 bits hold the microseconds
    HIGHEST = 0x7FFFFFFFFFFFFFFF


cdef bint instant_of(const unsigned char* octets, Py_ssize_t size, long long* micros) noexcept:
    """Tell the point in time; False where it is written otherwise, or finer than microseconds."""
    cdef Input rest
    cdef long long year, month, day, hour, minute, second, fraction = 0
    if size == 8 and memcmp(octets, b"infinity", 8) == 0:
        micros[0] = <long long>HIGHEST
        return True
    if size == 9 and memcmp(octets, b"-infinity", 9) == 0:
        micros[0] = -<long long>HIGHEST
        return True
    rest.at = octets
    rest.end = octets + size
    if not (year_of(&rest, &year) and letter(&rest, c'-') and number(&rest, 2, 2, &month) and letter(&rest, c'-')):
        return False
    if not (number(&rest, 2, 2, &day) and letter(&rest, c'T') and number(&rest, 2, 2, &hour) and letter(&rest, c':')):
        return False
    if not (number(&rest, 2, 2, &minute) and letter(&rest, c':') and number(&rest, 2, 2, &second)):
        return False
    if letter(&rest, c'.') and not fraction_of(&rest, &fraction):
        return False
    if not letter(&rest, c'Z') or rest.at != rest.end:
        return False
    if not 1 <= month <= 12 or not 1 <= day <= days_in(year, month) or hour > 23 or minute > 59 or second > 59:
        return False
    micros[0] = ((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 + second
    micros[0] = micros[0] * 1000000 + fraction
    return True


cdef bint letter(Input* rest, unsigned char wanted) noexcept:
    """Take one letter, if it is the wanted one."""
    if rest.at == rest.end or rest.at[0] != wanted:
        return False
    rest.at += 1
    return True


cdef bint number(Input* rest, int least, int most, long long* value) noexcept:
    """Take a number of `least` to `most` digits."""
    cdef int digits = 0
    value[0] = 0
    while rest.at < rest.end and digits < most and c'0' <= rest.at[0] <= c'9':
        value[0] = value[0] * 10 + rest.at[0] - c'0'
        rest.at += 1
        digits += 1
    return digits >= least


cdef bint year_of(Input* rest, long long* year) noexcept:
    cdef bint negative = letter(rest, c'-')
    if not negative:
        letter(rest, c'+')
    if not number(rest, 4, 6, year) or year[0] > MOST_YEARS:
        return False
    if negative:
        year[0] = -year[0]
    return True


cdef bint fraction_of(Input* rest, long long* micros) noexcept:
    """Take the digits behind the point; beyond the sixth there may only be zeros."""
    cdef const unsigned char* start = rest.at
    if not number(rest, 1, 6, micros):
        return False
    cdef Py_ssize_t digits = rest.at - start
    while digits < 6:
        micros[0] *= 10
        digits += 1
    while letter(rest, c'0'):
        pass
    return True


cdef bint leap(long long year) noexcept:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


cdef int days_in(long long year, long long month) noexcept:
    if month == 2:
        return 29 if leap(year) else 28
    return 30 if month in (4, 6, 9, 11) else 31


cdef long long days_of(long long year, long long month, long long day) noexcept:
    """Return the days since 1970-01-01 in the proleptic Gregorian calendar.

    Years are counted from March, so that the leap day is the last one, and in cycles of 400, which are all as long.
    """
    cdef long long shifted = year - 1 if month <= 2 else year
    cdef long long cycle = (shifted if shifted >= 0 else shifted - 399) // 400
    cdef long long of_cycle = shifted - cycle * 400
    cdef long long of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return cycle * 146097 + of_cycle * 365 + of_cycle // 4 - of_cycle // 100 + of_year - 719468
