LEXICON = "/assets/lexicon.tsv"
TOKEN = @TOKEN@
FACTORS = {"intensifier": 1.5, "diminisher": 0.5}
SHOWN = 300


def read_lexicon() -> dict:
    """Word -> weight from -4 to 4, or its role: negation, intensifier, diminisher."""
    lexicon = {}
    with open(LEXICON, encoding="utf-8") as file:
        for line in file:
            word, role = line.rstrip("\n").split("\t")
            is_role = role == "negation" or role in FACTORS
            lexicon[word] = role if is_role else float(role)
    return lexicon


def score(text: str, lexicon: dict) -> float:
    """The sum of the words' weights.

    A negation among the three words before turns a weight round and halves it; an intensifier
    right before makes it half as strong again, a diminisher halves it.
    """
    tokens = (token.lower().replace("’", "'") for token in re.findall(TOKEN, text))
    entries = [lexicon.get(token) for token in tokens]
    total = 0.0
    for at, weight in enumerate(entries):
        if not isinstance(weight, float):
            continue
        before = entries[max(0, at - 3) : at]
        if before:
            weight *= FACTORS.get(before[-1], 1.0)
        if "negation" in before:
            weight *= -0.5
        total += weight
    return total


class Totals:
    """Records by class, and the sum of their scores."""

    def __init__(self):
        self.classes = {"positive": 0, "neutral": 0, "negative": 0}
        self.sum = 0.0

    def add(self, points: float, kind: str) -> None:
        """Take one record in."""
        self.sum += points
        self.classes[kind] += 1

    def mean(self) -> float | None:
        """The mean score, to four places; None of no records."""
        count = sum(self.classes.values())
        return round(self.sum / count, 4) + 0.0 if count else None


def keep_extreme(records: list, record: dict, most: int, sign: int) -> None:
    """Keep the most extreme records: greatest sign * score first, ties in file order."""
    bisect.insort(records, record, key=lambda kept: -sign * kept["score"])
    del records[most:]
