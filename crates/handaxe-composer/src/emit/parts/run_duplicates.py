    """Count the records that are the same, field for field, as one before them."""
    tally, seen, count = new_tally(), set(), 0
    for _, record in matching(data, format, where, [], tally):
        key = tuple(sorted((name, text_of(value)) for name, value in record.items()))
        if key in seen:
            count += 1
            continue
        if len(seen) == MAX_DISTINCT:
            raise ValueError(f"more than {MAX_DISTINCT} different records")
        seen.add(key)
    return {"count": count, "distinct": len(seen), **summary(tally)}
