    """One measure per time bucket, in order; buckets without records are left out."""
    check_measure(func, value_field)
    tally = new_tally() | {"ignored": 0, "kept": 0}
    buckets, records, undated = {}, {}, 0
    used = [field] if value_field is None else [field, value_field]
    for _, record in matching(data, format, where, used, tally):
        name = bucket_of(time_of(text_of(record.get(field))), bucket)
        if name is None:
            undated += 1
            continue
        if name not in buckets:
            buckets[name] = Measure(func, value_field)
            bounded(buckets)
        records[name] = records.get(name, 0) + 1
        buckets[name].add(record, tally)
    rows = [
        {"bucket": name, "value": buckets[name].result(), "records": records[name]}
        for name in sorted(buckets, key=bucket_key)
    ]
@WINDOW_BUCKETS@    return {"buckets": rows, "undated": undated, "ignored": tally["ignored"], **summary(tally)}
