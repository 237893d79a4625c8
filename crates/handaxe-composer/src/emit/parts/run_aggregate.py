    """Measure the records, over all or by group."""
    measures = [(item["func"], item.get("field")) for item in measures]
    for func, field in measures:
        check_measure(func, field)
    names = group_by or []
    tally = new_tally() | {"ignored": 0, "kept": 0}
    groups = {}
    if not names:
        groups[()] = [Measure(func, field) for func, field in measures]
    used = [*names, *(field for _, field in measures if field is not None)]
    for _, record in matching(data, format, where, used, tally):
        key = tuple(text_of(record.get(name)) for name in names)
        if key not in groups:
            groups[key] = [Measure(func, field) for func, field in measures]
        for measure in groups[key]:
            measure.add(record, tally)
        bounded(groups)
    rows = []
    for key in sorted(groups, key=lambda key: [order_key(text) for text in key]):
        values = {label(measure): measure.result() for measure in groups[key]}
        rows.append({"group": {n: t or None for n, t in zip(names, key)}, "values": values})
@WINDOW_ROWS@    if order is not None:
        rows = in_order(rows, label(Measure(*measures[0])), order)
    return {
        "groups": rows[@OFFSET@:limit],
        "groups_total": len(rows),
        "ignored": tally["ignored"],
        **summary(tally),
    }
