def first_ones(records, fields: list, tally: dict):
    """Yield the first record with the same values; the others are counted."""
    seen = set()
    for record in records:
        if fields:
            key = tuple(text_of(record.get(name)) for name in fields)
        else:
            key = tuple(sorted((name, text_of(value)) for name, value in record.items()))
        if key in seen:
            tally["removed"] += 1
            continue
        if len(seen) == MAX_DISTINCT:
            raise ValueError(f"more than {MAX_DISTINCT} different records")
        seen.add(key)
        yield record
