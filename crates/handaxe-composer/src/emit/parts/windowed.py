WINDOWS = ("share", "running", "change")


def windowed(values: list, window: str) -> list:
    """Numbers as percentages of them all, as totals so far, or as changes from the one before."""
    if window not in WINDOWS:
        raise ValueError(f"unknown window `{window}`; use one of {', '.join(WINDOWS)}")
    numbers = [None if isinstance(value, str) else value for value in values]
    total = math.fsum(float(number) for number in numbers if number is not None)
    out, running, last = [], Total(), None
    for number in numbers:
        result = None
        if number is None:
            out.append(None)
            continue
        if window == "share":
            result = 100 * float(number) / total if total else None
        elif window == "running":
            running.add(number)
            result = running.value()
        elif last is not None:
            result = number - last
        out.append(result)
        last = number
    return out
