    """Select the first records of each value of a field, ordered by another."""
    most = MAX_ROWS if limit is None else limit
    tally, groups, kept = new_tally(), {}, 0
    used = [*(fields or []), *([] if order_by is None else [order_by]), per]
    for _, record in matching(data, format, where, used, tally):
        group = text_of(record.get(per))
        if not group or (order_by is not None and not text_of(record.get(order_by))):
            continue
        rows = groups.setdefault(group, [])
        rows.append(record)
        kept += 1
        if order_by is not None:
            rows.sort(
                key=lambda row: sort_key(row[order_by], order == "descending"),
                reverse=order == "descending",
            )
        if len(rows) > most:
            rows.pop()
            kept -= 1
        if kept > MAX_ROWS:
            raise ValueError(f"more than {MAX_ROWS} records; give a limit")
    rows = [row for group in sorted(groups, key=order_key) for row in groups[group]]
    if fields:
        rows = [{name: record.get(name) for name in fields} for record in rows]
    return {"rows": rows, **summary(tally)}
