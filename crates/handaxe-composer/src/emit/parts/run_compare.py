    """One measure of the records with one value of a field, against those with another."""
    check_measure(func, value_field)
    tally = new_tally() | {"ignored": 0, "kept": 0}
    sides = [
        (prepare([{"field": field, "op": "eq", "value": value}])[0], Measure(func, value_field))
        for value in (left, right)
    ]
    used = [field] if value_field is None else [field, value_field]
    for _, record in matching(data, format, where, used, tally):
        for test, measure in sides:
            if passes(record.get(field), test):
                measure.add(record, tally)
    first, second = (measure.result() for _, measure in sides)
    value = None
    if not isinstance(first, str) and not isinstance(second, str) and None not in (first, second):
        if how == "difference":
            value = first - second
        elif second:
            value = float(first) / float(second)
    result = {"value": value, "left": first, "right": second}
    return {**result, "ignored": tally["ignored"], **summary(tally)}
