    """Count the records that pass."""
    tally = new_tally()
    for _ in matching(data, format, where, [], tally):
        pass
    return {"count": tally["matched"], **summary(tally)}
