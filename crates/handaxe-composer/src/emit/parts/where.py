OPS = (
    "eq ne lt le gt ge contains not_contains starts_with ends_with any_of none_of empty not_empty"
).split()


def compare(value, text: str, test: dict):
    """-1, 0 or 1 as the value stands to the test's; None where they cannot be compared."""
    if not text:
        return None
    found, wanted = text.lower(), test["text"]
    if test["number"] is not None and (number := number_of(value)) is not None:
        found, wanted = number, test["number"]
    elif test["time"]:
        # A less precise time stands for all that begin with it: a day for its hours.
        found, wanted = time_of(text), test["time"]
        if found is None:
            return None
        found = found[: len(wanted)]
    elif test["number"] is not None:
        return None
    return (found > wanted) - (found < wanted)


def passes(value, test: dict) -> bool:
    """Whether a value passes one test."""
    op, text = test["op"], text_of(value)
    if op == "empty":
        return not text
    if op == "not_empty":
        return bool(text)
    if op in ("any_of", "none_of"):
        found = any(
            compare(value, text, one) == 0 or not (text or one["text"]) for one in test["any"]
        )
        return found == (op == "any_of")
    if op == "contains":
        return test["text"] in text.lower()
    if op == "not_contains":
        return test["text"] not in text.lower()
    if op == "starts_with":
        return text.lower().startswith(test["text"])
    if op == "ends_with":
        return text.lower().endswith(test["text"])
    order = compare(value, text, test)
    if op == "ne":
        return order != 0
    if order is None:
        return False
    return {"eq": order == 0, "lt": order < 0, "le": order <= 0, "gt": order > 0}.get(
        op, order >= 0
    )


def read_value(value) -> dict:
    """A test's value as text, number and time."""
    text = text_of(value)
    return {"text": text.lower(), "number": number_of(value), "time": time_of(text)}


def prepare(where: list[dict] | None) -> list[dict]:
    """The tests of a filter with their values read once as text, number and time."""
    tests = []
    for test in where or []:
        if test["op"] not in OPS:
            raise ValueError(f"unknown op `{test['op']}`; use one of {', '.join(OPS)}")
        value = test.get("value")
        if value is None and test["op"] not in ("empty", "not_empty"):
            raise ValueError(f"`{test['op']}` needs a value")
        several = isinstance(value, list)
        if several != (test["op"] in ("any_of", "none_of")):
            raise ValueError("`any_of` and `none_of` take a list, and nothing else does")
        ready = {"field": test["field"], "op": test["op"]}
        if several:
            ready["any"] = [read_value(one) for one in value]
        else:
            ready |= read_value(value)
        tests.append(ready)
    return tests


def matching(path: str, form: str, where: list[dict] | None, used: list, tally: dict):
    """Yield (line number, record) for the records that pass; every field used must exist."""
    tests = prepare(where)
    for number, record in read_records(path, form, tally):
        if all(passes(record.get(test["field"]), test) for test in tests):
            tally["matched"] += 1
            yield number, record
    known = tally["fields"]
    for name in [*used, *(test["field"] for test in tests)]:
        if known and name not in known:
            raise ValueError(f"no field `{name}`; the fields are: {', '.join(list(known)[:40])}")


def summary(tally: dict) -> dict:
    """The counts that every result carries."""
    return {name: tally[name] for name in ("read", "matched", "skipped", "unreadable")}
