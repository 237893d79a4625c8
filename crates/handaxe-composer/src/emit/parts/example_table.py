MAX_ROWS = 100_000


def bounded_rows(rows: list) -> list:
    """The rows, where they are not too many."""
    if len(rows) > MAX_ROWS:
        raise ValueError(f"more than {MAX_ROWS} rows")
    return rows


def object_rows(value) -> list:
    """A list of objects as rows; scalars each as `value`."""
    if not isinstance(value, list) or any(isinstance(item, list) for item in value):
        raise ValueError("a list of objects is needed")
    return [dict(item) if isinstance(item, dict) else {"value": item} for item in value]


def spread(parent: dict, name: str) -> list:
    """One row for each element of the list under a name, with what stands beside it."""
    if not isinstance(parent, dict) or not isinstance(parent[name], list):
        raise ValueError(f"`{name}` is no list")
    beside = {k: v for k, v in parent.items() if k != name and not isinstance(v, list)}
    return [beside | (item if isinstance(item, dict) else {name: item}) for item in parent[name]]


def column_rows(value) -> list:
    """An object of lists as rows."""
    if not isinstance(value, dict) or not value:
        raise ValueError("an object of lists is needed")
    if any(not isinstance(column, list) for column in value.values()):
        raise ValueError("an object of lists is needed")
    if len({len(column) for column in value.values()}) > 1:
        raise ValueError("the lists differ in length")
    length = len(next(iter(value.values())))
    return [{name: column[i] for name, column in value.items()} for i in range(length)]


def keyed_rows(value, key: str) -> list:
    """An object of objects, or of scalars, as rows in the order of their names."""
    if not isinstance(value, dict) or any(isinstance(item, list) for item in value.values()):
        raise ValueError("an object of objects is needed")
    return [
        (dict(item) if isinstance(item, dict) else {"value": item}) | {key: name}
        for name, item in sorted(value.items())
    ]


def csv_rows(value, separator: str) -> list:
    """The lines of a text with a header, as rows."""
    if not isinstance(value, str):
        raise ValueError("a text is needed")
    lines = [line.rstrip("\r") for line in value.split("\n")]
    lines = [[c.strip(" ") for c in line.split(separator)] for line in lines if line]
    names = lines[0]
    if any(len(line) != len(names) for line in lines):
        raise ValueError("a line has more or fewer cells than the header")
    return [dict(zip(names, line)) for line in lines[1:]]


def jsonl_rows(value) -> list:
    """Lines that are each one JSON object, as rows."""
    if not isinstance(value, str):
        raise ValueError("a text is needed")
    lines = [line for line in value.split("\n") if line.strip()]
    rows = [json.loads(line, parse_constant=no_constant) for line in lines]
    if any(not isinstance(row, dict) for row in rows):
        raise ValueError("a line is no object")
    return rows


def line_rows(value) -> list:
    """The lines of a text that are not blank, each as `line`."""
    if not isinstance(value, str):
        raise ValueError("a text is needed")
    return [{"line": line.rstrip("\r")} for line in value.split("\n") if line.strip(" \t\r")]


def flat_object(value: dict, prefix: str = "") -> dict:
    """Nested objects as dotted fields."""
    row = {}
    for name, inner in sorted(value.items()):
        if isinstance(inner, dict):
            row.update(flat_object(inner, f"{prefix}{name}."))
        else:
            row[prefix + name] = inner
    return row


def explode(rows: list, name: str) -> list:
    """One row for each element of a list in a field."""
    return bounded_rows([row for parent in rows for row in spread(parent, name)])


def split_rows(rows: list, name: str, separator: str) -> list:
    """One row for each part of a field's text."""
    return bounded_rows(
        [
            row | {name: part.strip(" ")}
            for row in rows
            for part in as_text(row[name]).split(separator)
        ]
    )


def melt(rows: list, keep: list, name: str, value: str, order: list) -> list:
    """Wide to long: every field but those kept becomes a row with its name and value."""
    place = {field: i for i, field in enumerate(order)}
    long = []
    for row in rows:
        rest = sorted((f for f in row if f not in keep), key=lambda f: (place.get(f, len(order)), f))
        long += [{k: row[k] for k in keep} | {name: f, value: row[f]} for f in rest]
    return bounded_rows(long)


def grouped(rows: list, by: list) -> list:
    """Rows with the same values in some fields, in order of first appearance."""
    groups = {}
    for row in rows:
        key = [row.get(name) for name in by]
        groups.setdefault(json.dumps(key), (key, []))[1].append(row)
    return list(groups.values())


def pivot(rows: list, name: str, value: str) -> list:
    """Long to wide: one row for each set of the other fields."""
    rest = [field for field in rows[0] if field not in (name, value)]
    wide = []
    for key, members in grouped(rows, rest):
        row = dict(zip(rest, key))
        for member in members:
            row[as_text(member[name])] = member[value]
        wide.append(row)
    return wide


def same(a, b) -> bool:
    """Equal JSON values, numbers by value."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        x, y = float(a), float(b)
        return x == y or abs(x - y) <= 1e-9 * max(abs(x), abs(y))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    return type(a) is type(b) and a == b


def where(rows: list, name: str, value, is_it: bool) -> list:
    """Rows whose field is, or is not, a value."""
    return [row for row in rows if (name in row and same(row[name], value)) == is_it]


def is_blank(value) -> bool:
    """Null, missing or blank."""
    return value is None or (isinstance(value, str) and not value.strip(" "))


def filled(rows: list, name: str) -> list:
    """Rows whose field is not blank."""
    return [row for row in rows if not is_blank(row.get(name))]


def fill_down(rows: list, name: str) -> list:
    """Blanks take the value above them."""
    last, out = None, []
    for row in rows:
        if is_blank(row.get(name)):
            row = row | {name: last}
        else:
            last = row[name]
        out.append(row)
    return out


def sort_key(value) -> tuple:
    """Numbers before texts."""
    if value is None or isinstance(value, (list, dict)):
        return (2, 0, "")
    text = as_text(value)
    if not text:
        return (2, 0, "")
    return (0, number_in(text), "") if is_number(text) else (1, 0, text)


def ordered(rows: list, name: str, descending: bool) -> list:
    """Rows by a field: numbers, then texts, blanks last."""
    kinds = ([], [], [])
    for row in rows:
        kinds[sort_key(row.get(name))[0]].append(row)
    for kind in kinds[:2]:
        kind.sort(key=lambda row: sort_key(row.get(name)), reverse=descending)
    return [row for kind in kinds for row in kind]


def unique(rows: list, by: list) -> list:
    """The first row of each set of values."""
    return [members[0] for _, members in grouped(rows, by)]


def folded(rows: list, name: str, how: str):
    """One value of many."""
    values = [row.get(name) for row in rows]
    if how == "count":  #? count
        return len(rows)  #? count
    if how == "first":  #? first
        return values[0]  #? first
    if how == "last":  #? last
        return values[-1]  #? last
    if how == "list":  #? list
        return values  #? list
    if how == "join":  #? join
        return ", ".join(as_text(value) for value in values)  #? join
    numbers = [number_in(as_text(value)) for value in values]
    if how == "sum":  #? sum
        return total_of(numbers)  #? sum
    if how == "mean":  #? mean
        return float(total_of(numbers)) / len(numbers)  #? mean
    return max(numbers) if how == "max" else min(numbers)


def group(rows: list, by: list, folds: list) -> list:
    """One row a group: its key, and a value for each (field, how, name)."""
    return [
        dict(zip(by, key)) | {called: folded(members, name, how) for name, how, called in folds}
        for key, members in grouped(rows, by)
    ]


def as_columns(rows: list) -> dict:
    """Rows as an object of lists."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def as_keyed(rows: list, key: str) -> dict:
    """Each row under its value of a field, without it."""
    return {as_text(row[key]): {k: v for k, v in row.items() if k != key} for row in rows}


def as_csv(rows: list, separator: str, names: list) -> str:
    """A header and a line for each row."""
    lines = [separator.join(names)]
    for row in rows:
        cells = ["" if row[name] is None else as_text(row[name]) for name in names]
        lines.append(separator.join(cells))
    return "\n".join(lines)


def as_jsonl(rows: list, names: list, spaced: bool) -> str:
    """One JSON object a line, with these names in order."""
    signs = (", ", ": ") if spaced else (",", ":")
    for row in rows:
        if any(isinstance(row[name], (list, dict)) for name in names):
            raise ValueError("a value is no scalar")
    return "\n".join(
        json.dumps({n: row[n] for n in names}, ensure_ascii=False, separators=signs)
        for row in rows
    )
