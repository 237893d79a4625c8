def table_row(cells: list, delimiter: str) -> str:
    """One line of CSV or TSV; cells are quoted where they must be."""
    if cells == [""]:
        return '""\n'
    quoted = [
        '"' + cell.replace('"', '""') + '"'
        if any(mark in cell for mark in (delimiter, '"', "\n", "\r"))
        else cell
        for cell in cells
    ]
    return delimiter.join(quoted) + "\n"


def cell_of(value) -> str:
    """A value as it goes into a table: text untouched."""
    return value if isinstance(value, str) else text_of(value)


def table_lines(records, names: list, delimiter: str):
    """Yield the header and one line per record."""
    if names:
        yield table_row(names, delimiter)
    for _, record in records:
        yield table_row([cell_of(record.get(name)) for name in names], delimiter)


def object_lines(records, to: str):
    """Yield one JSON object per record: as lines, or as the items of one array."""
    start, between, end = ("[\n", ",\n", "\n]\n") if to == "json" else ("", "\n", "\n")
    first = True
    for _, record in records:
        yield start if first else between
        yield json.dumps(record, ensure_ascii=False)
        first = False
    yield end if not first else "[\n]\n" if to == "json" else ""
