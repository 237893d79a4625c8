    """Find everything of a kind, with how often it occurs."""
    pattern = re.compile(PATTERNS[what])
    tally = new_tally()
    counts, found, records_with_any = {}, 0, 0
    for _, record in matching(data, format, where, [] if field is None else [field], tally):
        before = found
        for name, value in record.items():
            if field is not None and name != field:
                continue
            for item in find_items(pattern, text_of(value)):
                item = address(item) if what == "ips" else item
                if item:
                    counts[item] = counts.get(item, 0) + 1
                    found += 1
                    bounded(counts)
        records_with_any += found > before
    return {
        "items": [{"value": value, "count": n} for value, n in most_common(counts, limit)],
        "found": found,
        "distinct": len(counts),
        "records_with_any": records_with_any,
        **summary(tally),
    }
