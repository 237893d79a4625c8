    """Write the records to a file in another format."""
    if to not in TARGETS:
        raise ValueError(f"cannot write `{to}`; use one of {', '.join(TARGETS)}")
    names = []
    if to in ("csv", "tsv"):  # a first pass for the columns
        first_pass = new_tally()
        for _ in matching(data, format, where, [], first_pass):
            pass
        names = list(first_pass["fields"])
    tally = new_tally()
    records = matching(data, format, where, [], tally)
    name = f"converted.{to}"
    with open(name, "w", encoding="utf-8", newline="") as file:
        if to in ("csv", "tsv"):
            write_table(records, names, "," if to == "csv" else "\t", file)
        else:
            write_objects(records, to, file)
    return {"file": name, "records": tally["matched"], **summary(tally)}
