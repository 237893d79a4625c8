    """One measure for each pair of a row and a column."""
    check_measure(func, value_field)
    tally = new_tally() | {"ignored": 0, "kept": 0}
    cells = {}
    undated = 0  #? times
    used = [row_field, column_field] if value_field is None else [row_field, column_field, value_field]
    for _, record in matching(data, format, where, used, tally):
        row = place_of(record, row_field, row_bucket)  #? times
        column = place_of(record, column_field, column_bucket)  #? times
        if row is None or column is None:  #? times
            undated += 1  #? times
            continue  #? times
        row, column = text_of(record.get(row_field)), text_of(record.get(column_field))  #? !times
        if (row, column) not in cells:
            cells[row, column] = Measure(func, value_field)
            bounded(cells)
        cells[row, column].add(record, tally)
    rows = sorted({row for row, _ in cells}, key=place_key)
    columns = sorted({column for _, column in cells}, key=place_key)
    if len(rows) * len(columns) > MAX_GROUPS:
        raise ValueError(f"a table of more than {MAX_GROUPS} cells")
    empty = Measure(func, value_field)
    table = [
        {
            "row": row or None,
            "values": [cells.get((row, column), empty).result() for column in columns],
        }
        for row in rows
    ]
    return {
        "columns": [column or None for column in columns],
        "rows": table,
        "undated": undated,  #? times
        "ignored": tally["ignored"],
        **summary(tally),
    }
