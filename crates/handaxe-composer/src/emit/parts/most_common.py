def most_common(counts: dict, limit: int | None) -> list:
    """(value, count) pairs, most frequent first, ties by value."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]
