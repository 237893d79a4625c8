PLACES = 1074  # of a float's smallest part, after the binary point


class Total:
    """An exact sum: in units of the smallest float, rounded once, when it is read."""

    def __init__(self):
        self.units, self.floats, self.count = 0, False, 0

    def add(self, value) -> None:
        """Take one more number in."""
        top, bottom = value.as_integer_ratio()
        self.units += top << PLACES - bottom.bit_length() + 1  # the bottom is a power of two
        self.floats = self.floats or isinstance(value, float)
        self.count += 1

    def value(self):
        """The sum; whole if every number was (and it fits 64 bits)."""
        whole = self.units >> PLACES
        if self.floats or not -(2**63) <= whole < 2**63:
            return self.units / (1 << PLACES)
        return whole

    def mean(self) -> float | None:
        """The arithmetic mean; None of nothing."""
        return self.value() / self.count if self.count else None
