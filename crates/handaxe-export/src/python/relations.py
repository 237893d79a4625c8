"""Metamorphic relations: how the outputs of two runs must compare when the second run's input is
made from the first's. The same rules as the proof's; only the order of a shuffle is another."""

import copy
import random

NUMBERS = (int, float)


def pointer(value, at):
    """RFC 6901; raises KeyError, IndexError or TypeError where nothing is."""
    for part in at.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def put(value, at, new):
    if not at:
        return new
    value = copy.deepcopy(value)
    head, _, last = at.rpartition("/")
    place = pointer(value, head)
    place[int(last) if isinstance(place, list) else last.replace("~1", "/").replace("~0", "~")] = new
    return value


def same(first, second, tolerance=None):
    """JSON with exact types: 1, 1.0 and true are three values; a tolerance is for floats."""
    if type(first) is not type(second):
        return False
    if isinstance(first, list):
        return len(first) == len(second) and all(map(lambda a, b: same(a, b, tolerance), first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k], tolerance) for k in first)
    if isinstance(first, float) and tolerance:
        return first == second or near(first, second, tolerance)
    return first == second


def near(wanted, got, tolerance):
    return abs(wanted - got) <= max(tolerance.get("abs", 0.0), tolerance.get("rel", 0.0) * abs(wanted))


def length(value):
    return len(value)


def size(value):
    return value if isinstance(value, NUMBERS) and not isinstance(value, bool) else len(value)


def numbers(value, change):
    if isinstance(value, list):
        return [numbers(item, change) for item in value]
    new = change(value)
    whole = not isinstance(value, float) and float(new).is_integer() and abs(new) < 9e15
    return int(new) if whole else float(new)


def changed(value, change):
    """The value after a change; lists, texts, and files as bytes."""
    if change == "same":
        return value
    (kind, how), = change.items()
    if isinstance(value, bytes):
        if kind == "set":
            return how["value"].encode()
        if kind in ("upper", "lower"):
            return getattr(value, kind)()
        ended = value.endswith(b"\n")
        lines = value.removesuffix(b"\n").split(b"\n") if value else []
        if kind == "append":
            how = {**how, "value": how["value"].encode()}
        return b"\n".join(changed(lines, {kind: how})) + (b"\n" if ended else b"")
    if kind == "set":
        return how["value"]
    if kind == "append":
        return value + ([how["value"]] if isinstance(value, list) else how["value"])
    if kind in ("upper", "lower"):
        return getattr(value, kind)()
    if kind == "add":
        return numbers(value, lambda n: n + how["by"])
    if kind == "scale":
        return numbers(value, lambda n: n * how["by"])
    keep = how.get("keep", 0)
    head, rest = value[:keep], value[keep:]
    if kind == "reverse":
        rest = rest[::-1]
    elif kind == "repeat":
        rest = rest + rest
    elif kind == "shuffle":
        items = list(rest)
        random.Random(0x5EED).shuffle(items)
        rest = items if isinstance(rest, list) else "".join(items)
    return head + rest


def compared(how, first, second, tolerance):
    if how == "equal":
        return same(first, second, tolerance)
    if how == "different":
        return not same(first, second, tolerance)
    if how == "same_items":
        left = list(second)
        for item in first:
            at = next((i for i, other in enumerate(left) if same(item, other, tolerance)), None)
            if at is None:
                return False
            left.pop(at)
        return not left
    if how == "not_less":
        return size(second) >= size(first)
    if how == "not_more":
        return size(second) <= size(first)
    (kind, by), = how.items()
    return each(first, second, (lambda a: a * by) if kind == "scaled_by" else (lambda a: a + by), tolerance)


def each(first, second, change, tolerance):
    if isinstance(first, list):
        return len(first) == len(second) and all(each(a, b, change, tolerance) for a, b in zip(first, second))
    return near(change(first), second, tolerance or {"abs": 1e-9, "rel": 1e-9})


class Pair:
    """A case's relation. `run(input, files)` gives an output; `source(code, input)` that of a second
    tool; `files` are the attached files' bytes by name, `file_inputs` the arguments that name one."""

    def __init__(self, run, source, input, files, file_inputs, tolerance):
        self.run, self.source, self.input, self.files = run, source, input, files
        self.file_inputs, self.tolerance = file_inputs, tolerance

    def file(self, at):
        return self.input[at[1:]] if at[1:] in self.file_inputs else None

    def value(self, at):
        name = self.file(at)
        if name is None:
            return pointer(self.input, at)
        body = self.files[name].removesuffix(b"\n")
        return [line.decode("utf-8", "replace") for line in body.split(b"\n")] if self.files[name] else []

    def after(self, change):
        if change == "same":
            return self.run(self.input, self.files)
        at = next(iter(change.values()))["at"]
        name = self.file(at)
        if name is not None:
            return self.run(self.input, {**self.files, name: changed(self.files[name], change)})
        return self.run(put(self.input, at, changed(pointer(self.input, at), change)), self.files)

    def holds(self, relation):
        if relation == "never_raises":
            self.run(self.input, self.files)
            return True
        first = self.run(self.input, self.files)
        if relation == "deterministic":
            return same(first, self.run(self.input, self.files), self.tolerance)
        (kind, how), = relation.items()
        if kind == "idempotent":
            fed = pointer(first, how.get("from", ""))
            name = self.file(how["into"])
            if name is not None:
                second = self.run(self.input, {**self.files, name: fed.encode()})
            else:
                second = self.run(put(self.input, how["into"], fed), self.files)
            return same(fed, pointer(second, how.get("from", "")), self.tolerance)
        if kind == "length_preserving":
            return length(self.value(how["of"])) == length(pointer(first, how.get("output", "")))
        if kind == "round_trips":
            second = self.source(how["code"], {how["into"]: pointer(first, how.get("from", ""))})
            return same(self.value(how["of"]), pointer(second, how.get("output", "")), self.tolerance)
        if kind == "order_independent":
            how = {"at": how["of"], "keep": how.get("keep", 0)}
            return all(same(first, self.after({k: how}), self.tolerance) for k in ("reverse", "shuffle"))
        if kind == "monotone":
            by = how.get("by", 1.0)
            wanted = "not_less" if (by >= 0.0) != how.get("falling", False) else "not_more"
            change = {"add": {"at": how["of"], "by": by}}
        else:
            wanted, change = how["outputs"], how["change"]
        at = how.get("output", "")
        return compared(wanted, pointer(first, at), pointer(self.after(change), at), self.tolerance)
