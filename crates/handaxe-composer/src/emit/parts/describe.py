MAX_DISTINCT = 10_000


@dataclasses.dataclass
class Column:
    """What is known of one field."""

    filled: int = 0
    floats: int = 0
    booleans: int = 0
    times: int = 0
    total: Total = dataclasses.field(default_factory=Total)
    low: float | None = None
    high: float | None = None
    first: str | None = None
    last: str | None = None
    distinct: set = dataclasses.field(default_factory=set)

    def add(self, value) -> None:
        """Take one value in."""
        text = text_of(value)
        if not text:
            return
        self.filled += 1
        # One value that is no number settles it, and one that is no time: the rest need no try.
        number = number_of(value) if self.total.count == self.filled - 1 else None
        if number is not None:
            self.total.add(number)
            self.floats += isinstance(number, float)
            self.low = number if self.low is None or number < self.low else self.low
            self.high = number if self.high is None or number > self.high else self.high
        self.booleans += text in ("true", "false", "True", "False")
        time = time_of(text) if self.times == self.filled - 1 else None
        if time is not None:
            self.times += 1
            self.first = time if self.first is None or time < self.first else self.first
            self.last = time if self.last is None or time > self.last else self.last
        if len(self.distinct) <= MAX_DISTINCT:
            self.distinct.add(text)

    def kind(self) -> str:
        """The narrowest type that holds every value."""
        if not self.filled:
            return "empty"
        if self.filled == self.total.count:
            return "number" if self.floats else "integer"
        if self.filled == self.booleans:
            return "boolean"
        return "time" if self.filled == self.times else "text"

    def row(self, name: str, matched: int) -> dict:
        """The field's line in the result."""
        kind = self.kind()
        low = high = mean = None
        if kind in ("integer", "number"):
            low, high, mean = self.low, self.high, self.total.mean()
        elif kind == "time":
            low, high = self.first, self.last
        return {
            "name": name,
            "type": kind,
            "filled": self.filled,
            "blank": matched - self.filled,
            "distinct": len(self.distinct) if len(self.distinct) <= MAX_DISTINCT else None,
            "min": low,
            "max": high,
            "mean": mean,
        }
