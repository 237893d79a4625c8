    """Write the records, made uniform, to a file."""
    fields = fields or []
    used = [*fields]
    used += [item["field"] for item in changes or []]  #? changed
    used += unique or []  #? unique
    used += [item["field"] for item in order_by or []]  #? sorted
    names, is_table = fields, to in ("csv", "tsv")
    if is_table and not names:  # a first pass for the columns
        first_pass = new_tally()
        for _ in matching(data, format, where, used, first_pass):
            pass
        names = list(first_pass["fields"])
    counts = {"written": 0, "changed": 0, "odd": 0, "removed": 0}
    tally = new_tally() | counts

    def all_of_them():  #? changed
        for _, record in matching(data, format, where, used, tally):  #? changed
            change(record, changes or [], tally)  #? changed
            yield record  #? changed
  #? changed
    records = all_of_them()  #? changed
    records = matching(data, format, where, used, tally)  #? !changed
    records = first_ones(records, unique or [], tally)  #? only_unique
    if unique is not None:  #? whole
        records = first_ones(records, unique, tally)  #? whole
    records = in_order(records, order_by or [])[:limit]  #? sorted
    records = kept(records, fields, tally)
    if is_table:
        lines_out = table_lines(records, names, "," if to == "csv" else "\t")
    else:
        lines_out = object_lines(records, to)
    name, checksum = f"cleaned.{to}", 0
    with open(name, "w", encoding="utf-8", newline="") as file:
        for line in lines_out:
            file.write(line)
            checksum = zlib.crc32(line.encode(), checksum)
    return {"file": name, "crc32": checksum, **{n: tally[n] for n in counts}, **summary(tally)}
