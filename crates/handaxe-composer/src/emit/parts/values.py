NUMBER = (
    @NUMBER@
)
HUGE = 1e150


def text_of(value) -> str:
    """A value as trimmed text; null is the empty text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip(BLANK)
    return str(value).lower()


def number_of(value):
    """The number that a value is, or None: `1,234`, `$5.20` and `12%` are 1234, 5.2 and 12."""
    if isinstance(value, str):
        found = re.fullmatch(NUMBER, value.strip(BLANK))
        if not found:
            return None
        sign, digits, exponent = found.groups("")
        digits = digits.replace(",", "")
        if not exponent and "." not in digits and len(digits) <= 18:
            return int(sign + digits)
        value = float(sign + digits + exponent)
    elif value is None or isinstance(value, bool):
        return None
    return value if isinstance(value, int) or abs(value) < HUGE else None
