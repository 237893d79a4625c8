def read_records(path: str, form: str, tally: dict):
    """Yield (line number, record) for every record of a file of any format."""  #? placed
    """Yield every record of a file of any format."""  #? !placed
    if form in ("csv", "tsv"):
        source = read_rows(path, form, tally)
    elif form == "json":
        source = read_json(path, tally)
    elif form == "jsonl":
        source = read_jsonl(path, tally)
    else:
        source = read_text(path, tally)
    for number, record in source:  #? placed
    for record in source:  #? !placed
        tally["read"] += 1
        note_fields(record, tally)
        yield number, record  #? placed
        yield record  #? !placed
    if tally["skipped"] and not tally["read"]:
        raise ValueError(f"nothing in the file could be read as {form}")
