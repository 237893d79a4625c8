def label(measure: Measure) -> str:
    """The measure's name in the result: `count`, `mean(price)`."""
    return measure.func if measure.field is None else f"{measure.func}({measure.field})"


def in_order(rows: list, name: str, order: str) -> list:
    """Rows by one value: numbers, then times, nothing last; ties stay in group order."""  #? times
    """Rows by one value, nothing last; ties stay in group order."""  #? !times
    numbers, times, nothing = [], [], []  #? times
    filled, nothing = [], []  #? !times
    for row in rows:
        value = row["values"][name]
        kind = nothing if value is None else times if isinstance(value, str) else numbers  #? times
        kind = nothing if value is None else filled  #? !times
        kind.append(row)
    for kind in (numbers, times):  #? times
        kind.sort(key=lambda row: row["values"][name], reverse=order == "descending")  #? times
    return numbers + times + nothing  #? times
    filled.sort(key=lambda row: row["values"][name], reverse=order == "descending")  #? !times
    return filled + nothing  #? !times
