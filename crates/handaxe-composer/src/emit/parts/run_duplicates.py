    """Count the records that are the same, field for field, as one before them."""  #? !by
    """Count the records that are the same in some fields as one before them."""  #? by
    tally, seen, count = new_tally(), set(), 0
    for _, record in matching(data, format, where, [], tally):  #? !by
        key = tuple(sorted((name, text_of(value)) for name, value in record.items()))  #? !by
    for _, record in matching(data, format, where, fields, tally):  #? by
        key = tuple(text_of(record.get(name)) for name in fields)  #? by
        if key in seen:
            count += 1
            continue
        if len(seen) == MAX_DISTINCT:
            raise ValueError(f"more than {MAX_DISTINCT} different records")
        seen.add(key)
    return {"count": count, "distinct": len(seen), **summary(tally)}
