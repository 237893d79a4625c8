def label(measure: Measure) -> str:
    """The measure's name in the result: `count`, `mean(price)`."""
    return measure.func if measure.field is None else f"{measure.func}({measure.field})"


def in_order(rows: list, name: str, order: str) -> list:
    """Rows by one value: numbers, then times, nothing last; ties stay in group order."""
    if order not in ("ascending", "descending"):
        raise ValueError(f"unknown order `{order}`; use ascending or descending")
    numbers, times, nothing = [], [], []
    for row in rows:
        value = row["values"][name]
        kind = nothing if value is None else times if isinstance(value, str) else numbers
        kind.append(row)
    for kind in (numbers, times):
        kind.sort(key=lambda row: row["values"][name], reverse=order == "descending")
    return numbers + times + nothing
