MAX_HELD = 200_000


def in_order(records, order_by: list) -> list:
    """The records ordered by several keys; those without a value come last."""
    rows = []
    for record in records:
        if len(rows) == MAX_HELD:
            raise ValueError(f"more than {MAX_HELD} records to order")
        rows.append(record)
    for item in reversed(order_by):  # a later key decides only where the earlier ones tie
        name, down = item["field"], item["order"] == "descending"
        filled = [row for row in rows if text_of(row.get(name))]
        blank = [row for row in rows if not text_of(row.get(name))]
        filled.sort(key=lambda row: sort_key(row[name], down), reverse=down)
        rows = filled + blank
    return rows
