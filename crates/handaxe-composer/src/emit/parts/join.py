MAX_LOOKUP = 100_000


def key_of(record: dict, fields: list) -> tuple | None:
    """What the record says in the fields of the key; none where one of them is blank."""
    key = tuple(text_of(record.get(name)) for name in fields)
    return key if all(key) else None


def read_lookup(join: dict, tally: dict) -> tuple:
    """The other file's records by their key, and the names of their fields; each key once."""
    own, lookup, on, prefix = new_tally(), {}, join["other_on"], join["prefix"]
    if len(on) != len(join["on"]):  #? keys
        raise ValueError("the key has not as many fields in the one file as in the other")  #? keys
    for record in read_records(join["path"], join["form"], own):
        key = key_of(record, on)
        if not key:
            continue
        if key in lookup:
            raise ValueError(f"`{', '.join(key)}` comes twice in `{', '.join(on)}` of the other file")
        if len(lookup) == MAX_LOOKUP:
            raise ValueError(f"the other file has more than {MAX_LOOKUP} records")
        lookup[key] = {f"{prefix}.{n}": value for n, value in record.items() if n not in on}
    for name in on:
        if own["fields"] and name not in own["fields"]:
            raise ValueError(f"the other file has no field `{name}`")
    for name in ("skipped", "unreadable"):
        tally[name] += own[name]
    return lookup, [f"{prefix}.{name}" for name in own["fields"] if name not in on]


def read_joined(path: str, form: str, tally: dict, join: dict):
    """Yield each record with the fields of its counterpart in the other file."""
    lookup, names = read_lookup(join, tally)
    on, how, met = join["on"], join["how"], set()
    for record in read_records(path, form, tally):
        key = key_of(record, on)
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
                yield dict(zip(on, key)) | found
    note_fields(names, tally)
