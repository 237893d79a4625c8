PERCENTILES = {
    @PERCENTILES@
}
FUNCS = ("count", "sum", "mean", "median", "min", "max", "distinct", "stdev", *PERCENTILES)
KEEPING = ("median", "stdev", *PERCENTILES)
MAX_VALUES = 2_000_000


@dataclasses.dataclass
class Measure:
    """The running value of func(field) over one group."""

    func: str
    field: str | None
    total: Total = dataclasses.field(default_factory=Total)
    count: int = 0
    number: float | None = None
    time: str | None = None
    seen: set = dataclasses.field(default_factory=set)
    values: list = dataclasses.field(default_factory=list)

    def better(self, new, old) -> bool:
        """Whether a value takes the place of the least or greatest so far."""
        return old is None or (new < old if self.func == "min" else new > old)

    def add(self, record: dict, tally: dict) -> None:
        """Take a record in; count a value that is there but is no number."""
        if self.field is None:
            self.count += 1
            return
        value = record.get(self.field)
        text = text_of(value)
        if not text:
            return
        if self.func == "count":
            self.count += 1
            return
        if self.func == "distinct":
            if text not in self.seen:
                self.seen.add(text)
                keep_one(tally)
            return
        number = number_of(value)
        if number is None:
            time = time_of(text) if self.func in ("min", "max") else None
            if time is None:
                tally["ignored"] += 1
            elif self.better(time, self.time):
                self.time = time
        elif self.func in ("min", "max"):
            if self.better(number, self.number):
                self.number = number
        elif self.func in KEEPING:
            keep_one(tally)
            self.values.append(number)
        else:
            self.total.add(number)

    def result(self):
        """The value so far; None where there were no numbers."""
        if self.func == "count":
            return self.count
        if self.func == "distinct":
            return len(self.seen)
        if self.func == "sum":
            return self.total.value() if self.total.count else None
        if self.func == "mean":
            return self.total.mean()
        if self.func == "median":
            return median(self.values)
        if self.func == "stdev":
            return deviation(self.values)
        if self.func in PERCENTILES:
            return percentile(self.values, PERCENTILES[self.func])
        return self.time if self.number is None else self.number


def keep_one(tally: dict) -> None:
    """Refuse to keep more values than fit in memory."""
    tally["kept"] += 1
    if tally["kept"] > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES} values for a median, deviation or distinct count")


def median(values: list):
    """The middle value, or the mean of the two in the middle."""
    if not values:
        return None
    values, half = sorted(values), len(values) // 2
    if len(values) % 2:
        return values[half]
    return (float(values[half - 1]) + float(values[half])) / 2


def percentile(values: list, percent: int) -> float | None:
    """The value below which so many of a hundred lie, interpolated between neighbours."""
    if not values:
        return None
    values, place = sorted(values), (len(values) - 1) * percent / 100
    low = math.floor(place)
    under, over = float(values[low]), float(values[min(low + 1, len(values) - 1)])
    return under + (over - under) * (place - low)


def deviation(values: list) -> float | None:
    """Sample standard deviation; None of fewer than two."""
    if len(values) < 2:
        return None
    floats = [float(value) for value in values]
    mean = math.fsum(floats) / len(floats)
    squares = math.fsum((value - mean) * (value - mean) for value in floats)
    return math.sqrt(squares / (len(floats) - 1))


def check_measure(func: str, field: str | None) -> None:
    """Refuse a measure that says nothing."""
    if func not in FUNCS:
        raise ValueError(f"unknown func `{func}`; use one of {', '.join(FUNCS)}")
    if field is None and func != "count":
        raise ValueError(f"`{func}` needs a field")
