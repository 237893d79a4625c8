def kept(records, fields: list, tally: dict):
    """Yield the records, cut down to these fields where some are named, and count them."""
    for record in records:
        tally["written"] += 1
        yield {name: record.get(name) for name in fields} if fields else record
