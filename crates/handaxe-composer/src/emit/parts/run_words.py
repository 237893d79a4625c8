    """How often each word occurs in a field."""
    tally = new_tally()
    counts, total = {}, 0
    for _, record in matching(data, format, where, [field], tally):
        for word in words_of(text_of(record.get(field)), min_length, skip_stop_words):
            counts[word] = counts.get(word, 0) + 1
            total += 1
            bounded(counts)
    words = [{"word": word, "count": n} for word, n in most_common(counts, limit)]
    return {"words": words, "distinct": len(counts), "total": total, **summary(tally)}
