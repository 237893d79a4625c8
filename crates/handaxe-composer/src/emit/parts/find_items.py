def find_items(pattern, text: str):
    """Yield what a pattern finds: its first group where it has one, else the whole match."""
    group = 1 if pattern.groups else 0
    for found in pattern.finditer(text):
        if found[group]:
            yield found[group]
