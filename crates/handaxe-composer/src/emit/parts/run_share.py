    """The percentage of the records that pass the wanted tests too."""
    tests = prepare(wanted)
    tally = new_tally()
    used = [test["field"] for test in tests]
    count = of = 0
    for _, record in matching(data, format, where, used, tally):
        of += 1
        count += all(passes(record.get(test["field"]), test) for test in tests)
    value = 100 * count / of if of else None
    return {"value": value, "count": count, "of": of, **summary(tally)}
