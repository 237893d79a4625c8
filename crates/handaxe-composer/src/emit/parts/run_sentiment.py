    """Score each record's text and sum up by class."""
    lexicon = read_lexicon()
    tally = new_tally()
    everything, groups = Totals(), {}
    most_negative, most_positive = [], []
    used = [field] if group_by is None else [field, group_by]
    for line, record in matching(data, format, where, used, tally):
        text = text_of(record.get(field))
        points = score(text, lexicon)
        shown = {"line": line, "score": points, "text": text[:SHOWN]}
        kind = "neutral"
        if points >= positive_at:
            kind = "positive"
            keep_extreme(most_positive, shown, examples, 1)
        elif points <= negative_at:
            kind = "negative"
            keep_extreme(most_negative, shown, examples, -1)
        everything.add(points, kind)
        if group_by is not None:
            name = text_of(record.get(group_by))
            groups.setdefault(name, Totals()).add(points, kind)
            bounded(groups)
    return {
        "totals": everything.classes,
        "mean_score": everything.mean(),
        "most_negative": most_negative,
        "most_positive": most_positive,
        "groups": [
            {
                "group": name or None,
                **groups[name].classes,
                "mean_score": groups[name].mean(),
            }
            for name in sorted(groups, key=order_key)
        ],
        **summary(tally),
    }
