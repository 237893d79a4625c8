def read_records(path: str, form: str, tally: dict):
    """Yield (line number, record) for every record of the file."""  #? placed
    """Yield every record of the file."""  #? !placed
    for number, record in @READER@(path, form, tally):  #? placed
    for record in @READER@(path, form, tally):  #? !placed
        tally["read"] += 1
        note_fields(record, tally)  #? !table
        yield number, record  #? placed
        yield record  #? !placed
    if tally["skipped"] and not tally["read"]:  #? !text
        raise ValueError("nothing in the file could be read as @FORM@")  #? !text
