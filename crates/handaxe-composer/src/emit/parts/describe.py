MAX_DISTINCT = 10_000


class Column:
    """What is known of one field."""

    def __init__(self):
        self.filled = self.floats = self.booleans = 0
        self.total, self.distinct = Total(), set()
        self.low = self.high = None
        self.times, self.first, self.last = 0, None, None  #? times

    def add(self, value) -> None:
        """Take one value in."""
        text = text_of(value)
        if not text:
            return
        self.filled += 1
        # One value that is no number settles it: the rest need no try.
        number = number_of(value) if self.total.count == self.filled - 1 else None
        if number is not None:
            self.total.add(number)
            self.floats += isinstance(number, float)
            self.low = number if self.low is None else min((self.low, number))
            self.high = number if self.high is None else max((self.high, number))
        self.booleans += text in ("true", "false", "True", "False")
        time = time_of(text) if self.times == self.filled - 1 else None  #? times
        if time is not None:  #? times
            self.times += 1  #? times
            self.first = time if self.first is None else min((self.first, time))  #? times
            self.last = time if self.last is None else max((self.last, time))  #? times
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
        return "time" if self.filled == self.times else "text"  #? times
        return "text"  #? !times

    def row(self, name: str, matched: int) -> dict:
        """The field's line in the result."""
        kind = self.kind()
        low = high = mean = None
        if kind in ("integer", "number"):
            low, high, mean = self.low, self.high, self.total.mean()
        elif kind == "time":  #? times
            low, high = self.first, self.last  #? times
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
