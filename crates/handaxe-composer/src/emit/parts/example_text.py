L = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"
CLASSES = {
    "digits": r"[0-9]+",  #? digits
    "letters": rf"[{L}]+",  #? letters
    "alnum": rf"[{L}0-9]+",  #? alnum
    "word": rf"[{L}0-9_]+",  #? word
    "upper": r"[A-Z]+",  #? upper
    "lower": r"[a-z]+",  #? lower
    "filled": r"[^ \t\r\n]+",  #? filled
    "dotted": rf"[{L}0-9.@_+-]+",  #? dotted
    "decimal": (  #? decimal
        r"(?:(?<![^ (=,:])-)?(?:[0-9]{4,}|[0-9]{1,3}(?![0-9])(?:,[0-9]{3}(?![0-9]))*)"  #? decimal
        r"(?:\.[0-9]+)?"  #? decimal
    ),  #? decimal
    "quoted": r'"([^"]*)"',  #? quoted
    "round": r"\(([^)]*)\)",  #? round
    "square": r"\[([^\]]*)\]",  #? square
    "angle": r"<([^>]*)>",  #? angle
    "humps": r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+|[0-9]+",  #? humps
}
NUMBER = (
    @NUMBER@
)


def as_text(value) -> str:
    """A scalar as text; anything else does not fit."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if abs(value) < 2**63 else repr(float(value))
    if isinstance(value, float):
        return repr(value)
    raise ValueError("a text or number is needed")


def flat(value, prefix: str = "") -> dict:
    """The scalars of an object as texts, nested ones under dotted names."""
    if not isinstance(value, dict):
        raise ValueError("an object is needed")
    fields = {}
    for name, inner in sorted(value.items()):
        if isinstance(inner, dict):
            fields.update(flat(inner, f"{prefix}{name}."))
        elif inner is not None and not isinstance(inner, list):
            fields[prefix + name] = as_text(inner)
    return fields


def at(value, path: str):
    """The value under a dotted name, as it is."""
    if isinstance(value, dict):
        if path in value:
            return value[path]
        head, dot, rest = path.partition(".")
        if dot and head in value:
            return at(value[head], rest)
    raise KeyError(path)


def part(text: str, separator: str, nth: int) -> str:
    """The nth part of a text cut at a separator, without the blanks around it."""
    return text.split(separator)[nth].strip(" ")


def runs(text: str, kind: str) -> list:
    """All runs of characters of one of CLASSES."""
    return re.findall(CLASSES[kind], text)


def before(text: str, mark: str, last: bool = False) -> str:
    """What stands before the first, or last, place of a mark."""
    return text[: text.rindex(mark) if last else text.index(mark)]


def after(text: str, mark: str, last: bool = False) -> str:
    """What stands after the first, or last, place of a mark."""
    return text[(text.rindex(mark) if last else text.index(mark)) + len(mark) :]


def capital(text: str) -> str:
    """The first letter large, the rest small."""
    return text[:1].upper() + text[1:].lower()


def title(text: str) -> str:
    """Every word capitalised."""
    return re.sub(rf"[{L}][{L}']*", lambda word: capital(word[0]), text)


def words(text: str, cut: str, arrange: str = "as_is") -> list:
    """The words of a text, by one of CLASSES, rearranged."""
    return arranged(runs(text, cut), arrange)


def parts(text: str, separator: str, arrange: str = "as_is") -> list:
    """The parts of a text between separators that are not blank, rearranged."""
    cut = [one.strip(" ") for one in text.split(separator)]
    return arranged([one for one in cut if one], arrange)


def arranged(items: list, how: str) -> list:
    """A list as it is, reversed, sorted, each once, or without its first or last."""
    if how == "reversed":  #? reversed
        return items[::-1]  #? reversed
    if how == "sorted":  #? sorted
        return sorted(items)  #? sorted
    if how == "unique":  #? unique
        return list(dict.fromkeys(items))  #? unique
    if how == "rest":  #? rest
        return items[1:]  #? rest
    if how == "front":  #? front
        return items[:-1]  #? front
    return items


def number_in(text: str):
    """The number that a text is: `1,234`, `$5.20` and `12%` are 1234, 5.2 and 12."""
    found = re.fullmatch(NUMBER, text)
    if not found:
        raise ValueError(f"`{text}` is no number")
    sign, digits, exponent = found.groups("")
    digits = digits.replace(",", "")
    if not exponent and "." not in digits and len(digits) <= 18:
        return int(sign + digits)
    number = float(sign + digits + exponent)
    if abs(number) >= 1e150:
        raise ValueError(f"`{text}` is too large")
    return number


def number_text(number, scale=1.0, places: int | None = None, thousands: bool = False) -> str:
    """A number times `scale` as text: with fixed places, or as short as it can be told."""
    if scale != 1:
        number = float(f"{float(number) * scale:.9f}")
    if places is not None:
        text = f"{float(number):.{places}f}"
    elif isinstance(number, int):
        text = str(number)
    else:
        text = f"{number:.0f}" if number.is_integer() and abs(number) < 1e15 else repr(number)
    if not thousands or "e" in text:
        return text
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, dot, fraction = digits.partition(".")
    return f"{sign}{int(whole):,}{dot}{fraction}"


def numbers_in(text: str) -> list:
    """All numbers in a text."""
    found = []
    for run in runs(text, "decimal"):
        try:
            found.append(number_in(run))
        except ValueError:
            continue
    return found


def total_of(numbers: list):
    """The exact sum of whole numbers; with floats among them, the correctly rounded one."""
    floats = [n for n in numbers if isinstance(n, float)]
    whole = sum(n for n in numbers if isinstance(n, int))
    if floats:
        return math.fsum([*floats, float(whole)]) + 0.0
    return whole if -(2**63) <= whole < 2**63 else float(whole)


def tally(text: str, what: str) -> str:
    """Sum, greatest, least or number of the numbers in a text, or its words or length."""
    if what == "length":  #? length
        return str(len(text))  #? length
    if what == "words":  #? words
        return str(len(runs(text, "filled")))  #? words
    numbers = numbers_in(text)
    if what == "numbers":  #? numbers
        return str(len(numbers))  #? numbers
    if not numbers:
        raise ValueError("no number in it")
    if what == "sum":  #? sum
        total = total_of(numbers)  #? sum
        return number_text(float(f"{total:.9f}") if isinstance(total, float) else total)  #? sum
    return number_text(max(numbers) if what == "max" else min(numbers))


def masked(text: str, keep: int, fill: str) -> str:
    """All but the last characters covered."""
    covered = max(len(text) - keep, 0)
    return fill * covered + text[covered:]


def holds(test) -> bool:
    """Whether a test passes; one that does not fit its input fails."""
    try:
        return test()
    except (LookupError, ValueError):
        return False


def or_null(work):
    """What the work gives; null where it does not fit its input."""
    try:
        return work()
    except (LookupError, ValueError):
        return None


def is_number(text: str) -> bool:
    """Whether a text is a number."""
    try:
        number_in(text)
    except ValueError:
        return False
    return True


def pairs(text: str, between: str, sign: str, numbers: bool) -> dict:
    """`a=1; b=2` as an object."""
    found = {}
    for one in text.split(between):
        if not one.strip(" "):
            continue
        name, there, value = one.partition(sign)
        if not there:
            raise ValueError(f"no `{sign}` in `{one}`")
        value = value.strip(" ")
        found[name.strip(" ")] = number_in(value) if numbers and is_number(value) else value
    return found
