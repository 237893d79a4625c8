    """Describe every field: type, filled, distinct, range, mean."""
    tally = new_tally()
    columns = {}
    for _, record in matching(data, format, where, [], tally):
        for name, value in record.items():
            columns.setdefault(name, Column()).add(value)
    fields = [
        columns.get(name, Column()).row(name, tally["matched"]) for name in tally["fields"]
    ]
    return {"fields": fields, **summary(tally)}
