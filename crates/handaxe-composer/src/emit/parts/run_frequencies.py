    """How often each value of a field occurs."""
    tally = new_tally()
    counts, blank = value_counts(data, format, where, field, tally)
    values = [{"value": value, "count": n} for value, n in most_common(counts, limit)]
    return {"values": values, "distinct": len(counts), "blank": blank, **summary(tally)}
