MAX_LOOKUP = 100_000


def read_lookup(join: dict, tally: dict) -> tuple:
    """The other file's records by their key, and the names of their fields; each key once."""
    own, lookup, on, prefix = new_tally(), {}, join["other_on"], join["prefix"]
    for record in read_records(join["path"], join["form"], own):
        key = text_of(record.get(on))
        if not key:
            continue
        if key in lookup:
            raise ValueError(f"`{key}` comes twice in `{on}` of the other file")
        if len(lookup) == MAX_LOOKUP:
            raise ValueError(f"the other file has more than {MAX_LOOKUP} records")
        lookup[key] = {f"{prefix}.{n}": value for n, value in record.items() if n != on}
    if own["fields"] and on not in own["fields"]:
        raise ValueError(f"the other file has no field `{on}`")
    for name in ("skipped", "unreadable"):
        tally[name] += own[name]
    return lookup, [f"{prefix}.{name}" for name in own["fields"] if name != on]


def read_joined(path: str, form: str, tally: dict, join: dict):
    """Yield each record with the fields of its counterpart in the other file."""
    lookup, names = read_lookup(join, tally)
    on, how, met = join["on"], join["how"], set()
    for record in read_records(path, form, tally):
        key = text_of(record.get(on))
        if key in lookup:
            met.add(key)
            yield record | lookup[key]
            continue
        tally["unmatched"] += 1
        if how == "left":
            yield record | dict.fromkeys(names)
    if how == "right":
        for key, found in lookup.items():
            if key not in met:
                yield {on: key} | found
    note_fields(names, tally)
