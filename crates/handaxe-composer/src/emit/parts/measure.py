MAX_VALUES = 2_000_000


class Measure:
    """The running value of func(field) over one group."""

    def __init__(self, func: str, field: str | None):
        self.func, self.field = func, field
        self.count, self.total = 0, Total()
        self.best = None  # the least or greatest number
        self.time = None  #? times
        self.seen, self.values = set(), []

    def add(self, record: dict, tally: dict) -> None:
        """Take a record in; count a value that is there but is no number."""
        if self.field is None:
            self.count += 1
            return
        value = record.get(self.field)
        text = text_of(value)
        if not text:
            return
        number = number_of(value)
        if self.func == "count":
            self.count += 1
        elif self.func == "distinct":
            if text not in self.seen:
                self.seen.add(text)
                keep_one(tally)
        elif number is None:
            self.add_time(text, tally)  #? times
            tally["ignored"] += 1  #? !times
        elif self.func in ("sum", "mean"):
            self.total.add(number)
        elif self.func in ("min", "max"):
            self.best = better(self.func, self.best, number)
        else:
            keep_one(tally)
            self.values.append(number)

    def add_time(self, text: str, tally: dict) -> None:  #? times
        """The first or last time, where no value was a number."""  #? times
        time = time_of(text) if self.func in ("min", "max") else None  #? times
        if time is None:  #? times
            tally["ignored"] += 1  #? times
        else:  #? times
            self.time = better(self.func, self.time, time)  #? times
  #? times
    def result(self):
        """The value so far; None where there were no numbers."""
        values = sorted(self.values)
        if self.func == "count":
            return self.count
        if self.func == "distinct":
            return len(self.seen)
        if self.func == "sum":
            return self.total.value() if self.total.count else None
        if self.func == "mean":
            return self.total.mean()
        if self.func in ("min", "max"):
            return self.best  #? !times
            return self.time if self.best is None else self.best  #? times
        if self.func == "median":
            return median(values)
        if self.func == "stdev":
            return deviation(values)
        return percentile(values, int(self.func[1:]))


def better(func: str, old, new):
    """The lesser or greater of two values; the new one where there was none."""
    pick = min if func == "min" else max
    return new if old is None else pick((old, new))


def keep_one(tally: dict) -> None:
    """Refuse to keep more values than fit in memory."""
    tally["kept"] += 1
    if tally["kept"] > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES} values for a median, deviation or distinct count")


def median(values: list):
    """The middle one of sorted values, or the mean of the two in the middle."""
    if not values:
        return None
    half = len(values) // 2
    if len(values) % 2:
        return values[half]
    return (float(values[half - 1]) + float(values[half])) / 2


def percentile(values: list, percent: int) -> float | None:
    """Below it lie so many of a hundred of sorted values; interpolated between neighbours."""
    if not values:
        return None
    place = (len(values) - 1) * percent / 100
    low = math.floor(place)
    under = float(values[low])
    over = float(values[low + 1]) if low + 1 < len(values) else under
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
    if field is None and func != "count":
        raise ValueError(f"`{func}` needs a field")
