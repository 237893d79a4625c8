ORDERS = {"eq": (0,), "lt": (-1,), "le": (-1, 0), "gt": (1,), "ge": (0, 1)}  # of `compare`


def compare(value, text: str, test: dict):
    """-1, 0 or 1 as the value stands to the test's; None where they cannot be compared."""
    if not text:
        return None
    found, wanted = text.lower(), test["text"]
    if test["number"] is not None and (number := number_of(value)) is not None:
        found, wanted = number, test["number"]
    elif test["time"]:  #? times
        # A less precise time stands for all that begin with it: a day for its hours.  #? times
        found, wanted = time_of(text), test["time"]  #? times
        if found is None:  #? times
            return None  #? times
        found = found[: len(wanted)]  #? times
    elif test["number"] is not None:
        return None
    return (found > wanted) - (found < wanted)


def passes(value, test: dict) -> bool:
    """Whether a value passes one test."""
    op, text = test["op"], text_of(value)
    if op in ("empty", "not_empty"):
        return (not text) == (op == "empty")
    if op in ("any_of", "none_of"):
        found = any(
            compare(value, text, one) == 0 or not (text or one["text"]) for one in test["any"]
        )
        return found == (op == "any_of")
    if op in ("contains", "not_contains"):
        return (test["text"] in text.lower()) == (op == "contains")
    if op == "starts_with":
        return text.lower().startswith(test["text"])
    if op == "ends_with":
        return text.lower().endswith(test["text"])
    order = compare(value, text, test)
    return order != 0 if op == "ne" else order in ORDERS[op]


def read_value(value) -> dict:
    """A test's value as text, number and time."""  #? times
    """A test's value as text and number."""  #? !times
    text = text_of(value)
    return {"text": text.lower(), "number": number_of(value), "time": time_of(text)}  #? times
    return {"text": text.lower(), "number": number_of(value)}  #? !times


def prepare(where: list[dict] | None) -> list[dict]:
    """The tests of a filter with their values read once."""
    tests = []
    for test in where or []:
        op, value = test["op"], test.get("value")
        if value is None and op not in ("empty", "not_empty"):
            raise ValueError(f"`{op}` needs a value")
        if isinstance(value, list) != (op in ("any_of", "none_of")):
            raise ValueError("`any_of` and `none_of` take a list, and nothing else does")
        ready = {"field": test["field"], "op": op}
        if isinstance(value, list):
            ready["any"] = [read_value(one) for one in value]
        else:
            ready |= read_value(value)
        tests.append(ready)
    return tests


def matching(path: str, form: str, where: list[dict] | None, used: list, tally: dict):  #? !joined
def matching(  #? joined
    path: str, form: str, where: list[dict] | None, used: list, tally: dict, join: dict  #? joined
):  #? joined
    """Yield (line number, record) for the records that pass; every field used must exist."""  #? placed
    """Yield the records that pass; every field used must exist."""  #? !placed
    tests = prepare(where)
    for number, record in read_records(path, form, tally):  #? placed
    for record in read_records(path, form, tally):  #? !placed_or_joined
    for record in read_joined(path, form, tally, join):  #? joined
        if all(passes(record.get(test["field"]), test) for test in tests):
            tally["matched"] += 1
            yield number, record  #? placed
            yield record  #? !placed
    known = tally["fields"]
    for name in [*used, *(test["field"] for test in tests)]:  #? !joined
    for name in [*used, *join["on"], *(test["field"] for test in tests)]:  #? joined
        if known and name not in known:
            raise ValueError(f"no field `{name}`; the fields are: {', '.join(list(known)[:40])}")


def summary(tally: dict) -> dict:
    """The counts that every result carries."""
    return {name: tally[name] for name in ("read", "matched", "skipped", "unreadable")}  #? !joined
    names = ("read", "unmatched", "matched", "skipped", "unreadable")  #? joined
    return {name: tally[name] for name in names}  #? joined
