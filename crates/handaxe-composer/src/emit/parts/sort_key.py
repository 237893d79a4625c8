MAX_ROWS = 50_000


def sort_key(value, descending: bool) -> tuple:
    """Sorts numbers, then times, then text without regard to case: so either way round."""
    after = -1 if descending else 1
    number = number_of(value)
    if number is not None:
        return (0, number, "")
    text = text_of(value)
    if time := time_of(text):  #? times
        return (after, 0, time)  #? times
    return (2 * after, 0, text.lower())
