    """The distinct values of a field."""
    tally = new_tally()
    counts, blank = value_counts(data, format, where, field, tally)
    values = sorted(counts, key=order_key)
    return {"values": values, "distinct": len(values), "blank": blank, **summary(tally)}
