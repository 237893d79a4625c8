    """Write the records to a file in another format."""
    is_table = to in ("csv", "tsv")
    names = []
    if is_table:  # a first pass for the columns
        first_pass = new_tally()
        for _ in matching(data, format, where, [], first_pass):
            pass
        names = list(first_pass["fields"])
    tally = new_tally()
    records = matching(data, format, where, [], tally)
    if is_table:
        lines_out = table_lines(records, names, "," if to == "csv" else "\t")
    else:
        lines_out = object_lines(records, to)
    name, checksum = f"converted.{to}", 0
    with open(name, "w", encoding="utf-8", newline="") as file:
        for line in lines_out:
            file.write(line)
            checksum = zlib.crc32(line.encode(), checksum)
    return {"file": name, "records": tally["matched"], "crc32": checksum, **summary(tally)}
