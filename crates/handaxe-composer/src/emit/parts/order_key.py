def order_key(text: str) -> tuple:
    """Sorts numbers by value, then text, then nothing."""
    if not text:
        return (2, 0, "")
    number = number_of(text)
    return (1, 0, text) if number is None else (0, number, text)
