    """Select records, in file order or by a field."""
    most = MAX_ROWS if limit is None else limit
    tally = new_tally()
    used = [*(fields or []), *([] if order_by is None else [order_by])]
    blank = []  # without a value to order by: they come last, in file order

    def filled():
        for _, record in matching(data, format, where, used, tally):
            if order_by is not None and text_of(record.get(order_by)):
                yield sort_key(record[order_by], order == "descending"), record
            elif len(blank) < most:
                blank.append(record)

    pick = heapq.nlargest if order == "descending" else heapq.nsmallest
    best = [record for _, record in pick(most, filled(), key=lambda pair: pair[0])]
    if limit is None and tally["matched"] > MAX_ROWS:
        raise ValueError(f"more than {MAX_ROWS} records; give a limit")
    rows = (best + blank)[@OFFSET@:most]
    if fields:
        rows = [{name: record.get(name) for name in fields} for record in rows]
    return {"rows": rows, **summary(tally)}
