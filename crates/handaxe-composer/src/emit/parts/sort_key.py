MAX_ROWS = 50_000


def sort_key(value) -> tuple:
    """Sorts numbers, then times, then text without regard to case."""
    number = number_of(value)
    if number is not None:
        return (0, number, "")
    text = text_of(value)
    time = time_of(text)
    return (1, 0, time) if time else (2, 0, text.lower())
