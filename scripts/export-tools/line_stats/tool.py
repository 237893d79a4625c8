"""Figures of a text file."""


def run(*, path: str, keep_blank: bool = True) -> dict:
    """Lines, their mean length and the longest one."""
    with open(path, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file]
    if not keep_blank:
        lines = [line for line in lines if line.strip()]
    if not lines:
        return {"lines": 0, "mean": 0.0, "longest": None}
    longest = max(lines, key=lambda line: (len(line), line))
    return {"lines": len(lines), "mean": sum(map(len, lines)) / len(lines), "longest": longest}
