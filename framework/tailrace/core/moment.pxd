"""Numbers, dates and times in digits. Those that have no usual form are refused with ValueError."""

from tailrace.core.output cimport Output

cdef enum:
    DAYS_BEFORE = 719162  # from 0001-01-01 to 1970-01-01
    DAYS_AFTER = 2932896  # of 9999-12-31 since 1970-01-01


cdef inline int put_integer(Output out, long long number) except -1:
    cdef char text[24]
    cdef int at = 24
    cdef bint negative = number < 0
    cdef unsigned long long rest = <unsigned long long>number
    if negative:
        rest = 0 - rest
    while True:
        at -= 1
        text[at] = <char>(c"0" + rest % 10)
        rest //= 10
        if rest == 0:
            break
    if negative:
        at -= 1
        text[at] = c"-"
    out.put(<const unsigned char*>text + at, 24 - at)
    return 0


cdef inline int put_digits(Output out, long long number, int digits) except -1:
    """Append a number that is not negative in exactly so many digits."""
    cdef int place
    out.reserve(digits)
    for place in range(digits - 1, -1, -1):
        out.data[out.size + place] = <unsigned char>(c"0" + number % 10)
        number //= 10
    out.size += digits
    return 0


cdef inline int put_date(Output out, long long days) except -1:
    """Append a day of the years 1 to 9999, by its number since 1970-01-01."""
    cdef long long era, of_era, year, of_year, month
    if not -DAYS_BEFORE <= days <= DAYS_AFTER:
        raise ValueError
    days += 719468  # since 0000-03-01; from here on nothing is negative
    era = days // 146097
    of_era = days - era * 146097
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    year += era * 400 + (1 if month >= 10 else 0)
    put_digits(out, year, 4)
    out.put_byte(c"-")
    put_digits(out, month + 3 if month < 10 else month - 9, 2)
    out.put_byte(c"-")
    put_digits(out, of_year - (153 * month + 2) // 5 + 1, 2)
    return 0


cdef inline int put_time(Output out, long long value, long long unit) except -1:
    """Append a time of day, 24:00:00 included; the fraction where there is one."""
    cdef long long seconds, fraction
    if not 0 <= value <= 86400 * unit:
        raise ValueError
    seconds = value // unit
    fraction = value - seconds * unit
    put_digits(out, seconds // 3600, 2)
    out.put_byte(c":")
    put_digits(out, seconds // 60 % 60, 2)
    out.put_byte(c":")
    put_digits(out, seconds % 60, 2)
    if fraction:
        out.put_byte(c".")
        put_digits(out, fraction, 3 if unit == 1000 else 6)
    return 0


cdef inline int put_timestamp(Output out, long long value, long long unit) except -1:
    cdef long long day = 86400 * unit
    cdef long long days = value // day
    if days * day > value:  # C rounds to zero
        days -= 1
    put_date(out, days)
    out.put_byte(c" ")
    put_time(out, value - days * day, unit)
    return 0
