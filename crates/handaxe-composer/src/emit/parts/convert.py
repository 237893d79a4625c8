TARGETS = ("csv", "tsv", "json", "jsonl")


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


def write_table(records, names: list, delimiter: str, file) -> None:
    """Write the header and one line per record."""
    if names:
        file.write(table_row(names, delimiter))
    for _, record in records:
        file.write(table_row([cell_of(record.get(name)) for name in names], delimiter))


def write_objects(records, to: str, file) -> None:
    """Write one JSON object per record: as lines, or as the items of one array."""
    start, between, end = ("[\n", ",\n", "\n]\n") if to == "json" else ("", "\n", "\n")
    first = True
    for _, record in records:
        file.write(start if first else between)
        file.write(json.dumps(record, ensure_ascii=False))
        first = False
    file.write("[\n]\n" if first and to == "json" else "" if first else end)
