MAX_GROUPS = 100_000


def bounded(groups) -> None:
    """Refuse more groups than fit in memory."""
    if len(groups) > MAX_GROUPS:
        raise ValueError(f"more than {MAX_GROUPS} different values")
