def value_counts(data: str, format: str, where: list[dict] | None, field: str, tally: dict):  #? !joined
def value_counts(  #? joined
    data: str, format: str, where: list[dict] | None, field: str, tally: dict, join: dict  #? joined
):  #? joined
    """How often each value of a field occurs, and how many records have none."""
    counts, blank = {}, 0
    for _, record in matching(data, format, where, [field], tally):
        value = text_of(record.get(field))
        if value:
            counts[value] = counts.get(value, 0) + 1
            bounded(counts)
        else:
            blank += 1
    return counts, blank
