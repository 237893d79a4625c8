@dataclasses.dataclass
class Total:
    """An exact sum: whole numbers as such, floats as partials for one rounding at the end."""

    whole: int = 0
    partials: list = dataclasses.field(default_factory=list)
    count: int = 0

    def add(self, value) -> None:
        """Take one more number in (floats: Shewchuk's algorithm, as in math.fsum)."""
        self.count += 1
        if isinstance(value, int):
            self.whole += value
            return
        kept = 0
        for low in self.partials:
            if abs(value) < abs(low):
                value, low = low, value
            high = value + low
            if rest := low - (high - value):
                self.partials[kept] = rest
                kept += 1
            value = high
        self.partials[kept:] = [value]

    def value(self):
        """The sum; whole if every number was (and it fits 64 bits)."""
        if self.partials:
            return math.fsum([*self.partials, float(self.whole)]) + 0.0
        return self.whole if -(2**63) <= self.whole < 2**63 else float(self.whole)

    def mean(self) -> float | None:
        """The arithmetic mean; None of nothing."""
        return float(self.value()) / self.count if self.count else None
