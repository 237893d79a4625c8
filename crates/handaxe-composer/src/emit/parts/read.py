BLANK = " \t\r\n"
DECIMAL_COMMA = @DECIMAL_COMMA@
MAX_LINE = 8 << 20
MAX_JSON = 16 << 20
MAX_FIELDS = 2000
MAX_DEPTH = 100


def new_tally() -> dict:
    """What is counted while a file is read."""
    return {"read": 0, "matched": 0, "skipped": 0, "unreadable": 0, "fields": {}}  #? !joined
    counts = ("read", "unmatched", "matched", "skipped", "unreadable")  #? joined
    return dict.fromkeys(counts, 0) | {"fields": {}}  #? joined


def lines(path: str, tally: dict):
    """Yield each line of a file; bytes that are not UTF-8 become U+FFFD and are counted."""
    with open(path, encoding="utf-8", errors="replace") as file:
        number = 0
        while line := file.readline(MAX_LINE):
            number += 1
            if number == 1:
                line = line.removeprefix("\ufeff")
            if len(line) == MAX_LINE and not line.endswith("\n"):
                raise ValueError(f"line {number} is longer than {MAX_LINE} characters")
            if "\0" in line:
                raise ValueError(f"line {number} holds a NUL character: the file is binary")
            tally["unreadable"] += line.count("\ufffd")
            yield line


def column_names(cells: list) -> list:
    """Trimmed column names; a blank one is named by its place, a repeated one is numbered."""
    names = {}
    for place, cell in enumerate(cells, 1):
        base = name = cell.strip(BLANK) or f"column_{place}"
        copy = 2
        while name in names:
            name = f"{base}_{copy}"
            copy += 1
        names[name] = place
    return list(names)


def separator_of(path: str) -> str:
    """A semicolon where the first line has one and no comma, else a comma."""
    with open(path, encoding="utf-8", errors="replace") as file:
        first = file.readline(MAX_LINE)
    return ";" if ";" in first and "," not in first else ","


def pointed(cell: str) -> str:
    """A number with a decimal comma, written with a point; any other text as it is."""
    found = re.fullmatch(DECIMAL_COMMA, cell.strip(BLANK))
    return f"{found[1]}{found[2].replace('.', '')}.{found[3]}" if found else cell


def read_rows(path: str, form: str, tally: dict):
    """Yield (line number, record) for each row below the header."""  #? placed
    """Yield a record for each row below the header."""  #? !placed
    delimiter = "\t" if form == "tsv" else separator_of(path)
    reader = csv.reader(lines(path, tally), delimiter=delimiter, strict=True)
    names, after = None, 0  #? placed
    names = None  #? !placed
    try:
        for cells in reader:
            start, after = after + 1, reader.line_num  #? placed
            if not cells:
                continue
            if names is None:
                names = column_names(cells)
                note_fields(names, tally)
            elif any(cell.strip(BLANK) for cell in cells[len(names) :]):
                tally["skipped"] += 1
            else:
                if delimiter == ";":
                    cells = [pointed(cell) for cell in cells]
                cells += [None] * (len(names) - len(cells))
                yield start, dict(zip(names, cells))  #? placed
                yield dict(zip(names, cells))  #? !placed
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None


def read_text(path: str, tally: dict):
    """Yield (line number, record) for each line that is not blank."""  #? placed
    """Yield a record for each line that is not blank."""  #? !placed
    for number, line in enumerate(lines(path, tally), 1):  #? placed
        if line.strip(BLANK):  #? placed
            yield number, {"line": line.removesuffix("\n")}  #? placed
    for line in lines(path, tally):  #? !placed
        if line.strip(BLANK):  #? !placed
            yield {"line": line.removesuffix("\n")}  #? !placed


def whole_number(digits: str):
    """Up to 18 digits are an exact integer; longer ones stay text, so that none is lost."""
    return int(digits) if len(digits.lstrip("-")) <= 18 else digits


def finite_number(digits: str) -> float:
    """A float; one that is too large for a float is refused."""
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits} is too large")
    return value


def no_constant(name: str):
    """NaN and Infinity are not JSON."""
    raise ValueError(f"{name} is not JSON")


def too_deep(text: str) -> bool:
    """More than MAX_DEPTH brackets open at once (brackets inside strings count as well)."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for bracket in re.finditer(r"[\[\]{}]", text):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def parse_json(text: str):
    """One strict JSON document."""
    if too_deep(text):
        raise ValueError("the JSON nests too deep")
    value = json.loads(
        text, parse_int=whole_number, parse_float=finite_number, parse_constant=no_constant
    )
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()  # refuses half a surrogate pair
    return value


def flatten(members: dict, prefix: str = "") -> dict:
    """Nested objects become dotted names, lists become JSON text."""
    record = {}
    for name, value in members.items():
        if isinstance(value, dict):
            record.update(flatten(value, f"{prefix}{name}."))
        elif isinstance(value, list):
            record[prefix + name] = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        else:
            record[prefix + name] = value
    return record


def read_jsonl(path: str, tally: dict):
    """Yield (line number, record) for each line that is a JSON object; count the others."""  #? placed
    """Yield a record for each line that is a JSON object; count the others."""  #? !placed
    for number, line in enumerate(lines(path, tally), 1):  #? placed
    for line in lines(path, tally):  #? !placed
        if not line.strip(BLANK):
            continue
        try:
            value = parse_json(line)
        except ValueError:
            value = None
        if isinstance(value, dict):
            yield number, flatten(value)  #? placed
            yield flatten(value)  #? !placed
        else:
            tally["skipped"] += 1


def read_json(path: str, tally: dict):
    """Yield (place, record) for each object of the one array in a JSON document."""  #? placed
    """Yield a record for each object of the one array in a JSON document."""  #? !placed
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read(MAX_JSON + 2).removeprefix("\ufeff")
    if len(text) > MAX_JSON:
        raise ValueError(f"a JSON document of more than {MAX_JSON} characters is not read whole")
    if "\0" in text:
        raise ValueError("the file is binary: it holds a NUL character")
    tally["unreadable"] += text.count("\ufffd")
    try:
        items = parse_json(text) if text.strip(BLANK) else []
    except ValueError:
        raise ValueError("the file is not one JSON document") from None
    if isinstance(items, dict):
        arrays = [
            value
            for value in items.values()
            if isinstance(value, list) and any(isinstance(item, dict) for item in value)
        ]
        items = arrays[0] if len(arrays) == 1 else None
    if not isinstance(items, list):
        raise ValueError("the JSON is neither an array nor an object with one array of objects")
    for place, item in enumerate(items, 1):  #? placed
    for item in items:  #? !placed
        if isinstance(item, dict):
            yield place, flatten(item)  #? placed
            yield flatten(item)  #? !placed
        else:
            tally["skipped"] += 1


def note_fields(names, tally: dict) -> None:
    """Remember every field name in order of appearance."""
    fields = tally["fields"]
    for name in names:
        if name not in fields:
            if len(fields) == MAX_FIELDS:
                raise ValueError(f"more than {MAX_FIELDS} different fields")
            fields[name] = True
