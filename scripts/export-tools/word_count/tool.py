"""Counts the words of a text."""


def run(*, text: str, least: int = 1) -> list:
    """The words of at least so many letters, longest first, each with how often it occurs."""
    if text.startswith("#"):
        raise ValueError("a comment has no words")
    counts = {}
    for word in text.lower().split():
        if len(word) >= least:
            counts[word] = counts.get(word, 0) + 1
    return [[word, counts[word]] for word in sorted(counts, key=lambda w: (-len(w), w))]
