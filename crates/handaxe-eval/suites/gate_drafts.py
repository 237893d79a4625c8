"""Draws the drafts of the gate-quality suite from HumanEval (Chen et al., 2021; MIT licence).

    gate_drafts.py HumanEval.jsonl OUT.jsonl SEED [BUGS_PER_TASK [TASKS]]

Every task gives one draft with the canonical solution, and up to BUGS_PER_TASK drafts with one
seeded bug each. A bug is one change to the solution's syntax tree after which HumanEval's own tests
fail, so that it is a bug by another's word. This mutator shares nothing with the one inside the gate.

A draft's spec is the task's docstring, with schemas read off the arguments that the tests use. Its
author's cases are the calls shown in the docstring; the held-out ones are a part of the tests' calls
(half, at most eight). The other calls are seen by nobody.
"""

import ast
import copy
import json
import math
import random
import re
import resource
import signal
import sys
import textwrap

SECONDS = 2
MOST_CALLS = 60
MOST_AUTHOR = 6
MOST_HELD_OUT = 8


class TooLong(BaseException):
    """Not an Exception, so that a solution's own handlers do not catch it."""


def limited(work, seconds=SECONDS):
    """Runs `work` and gives what came of it: a value, or the kind of failure."""

    def stop(*_):
        raise TooLong

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return "ok", work()
    except TooLong:
        return "timeout", None
    except AssertionError:
        return "assertion", None
    except (Exception, SystemExit) as error:
        return type(error).__name__, None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


# The tests, as calls.


def module(source):
    space = {"__name__": "candidate"}
    exec(compile(source, "<candidate>", "exec"), space)
    return space


def checks(task, source):
    """How HumanEval's own tests end for a source: `ok`, `assertion`, `timeout`, an exception."""

    def work():
        random.seed(0)
        space = module(source)
        exec(compile(task["test"], "<test>", "exec"), space)
        space["check"](space[task["entry_point"]])

    return limited(work)[0]


def recorded(task, source):
    """The arguments that the tests call the solution with, in order and without repeats."""
    calls = []

    def work():
        random.seed(0)
        space = module(source)
        entry = space[task["entry_point"]]

        def candidate(*arguments):
            calls.append(copy.deepcopy(arguments))
            return entry(*arguments)

        exec(compile(task["test"], "<test>", "exec"), space)
        space["check"](candidate)

    if limited(work, 20)[0] != "ok":
        return []
    return distinct(calls)


def shown(task):
    """The calls that the docstring shows."""
    calls = []
    name = task["entry_point"]
    for found in re.finditer(rf"\b{name}\(", task["prompt"]):
        depth, at = 0, found.end() - 1
        for end in range(at, min(len(task["prompt"]), at + 500)):
            depth += {"(": 1, ")": -1}.get(task["prompt"][end], 0)
            if depth == 0:
                try:
                    calls.append(ast.literal_eval("(" + task["prompt"][at + 1 : end] + ",)"))
                except (ValueError, SyntaxError, TypeError):
                    pass
                break
    return distinct(calls)


def distinct(calls):
    seen, out = set(), []
    for call in calls:
        text = repr(call)
        if text not in seen and len(text) < 2000:
            seen.add(text)
            out.append(call)
    return out


def as_json(value):
    """The value as JSON has it, or None where JSON has not got it."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return None
    if any(isinstance(v, (dict,)) and any(not isinstance(k, str) for k in v) for v in parts(value)):
        return None
    return json.loads(text)


def parts(value):
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        yield from parts(inner)


# Schemas, read off values.

RANGES = [("a-z", str.islower), ("A-Z", str.isupper), ("0-9", str.isdigit)]


def kind(value):
    if isinstance(value, bool):
        return "boolean"
    for name, types in [("integer", int), ("number", float), ("string", str), ("array", (list, tuple)), ("object", dict)]:
        if isinstance(value, types):
            return name
    return "null"


def schema(values, bounded):
    """A schema that all values satisfy; `bounded`: with the bounds that they keep to."""
    kinds = sorted({kind(v) for v in values})
    if "integer" in kinds and "number" in kinds:
        kinds.remove("integer")
    out = {"type": kinds[0] if len(kinds) == 1 else kinds}
    numbers = [v for v in values if kind(v) in ("integer", "number")]
    if numbers and bounded:
        out["minimum"], out["maximum"] = min(numbers), max(numbers)
    texts = [v for v in values if isinstance(v, str)]
    if texts and bounded:
        letters = {c for t in texts for c in t}
        ranges = "".join(name for name, has in RANGES if any(c.isascii() and has(c) for c in letters))
        others = sorted(c for c in letters if not (c.isascii() and c.isalnum()))
        inside = ranges + "".join("\\" + c if c in "\\]^-[&~|" else c for c in others)
        low, high = min(map(len, texts)), max(map(len, texts))
        if inside and "\n" not in inside:
            out["pattern"] = "^[%s]{%d,%d}$" % (inside, low, high)
        out["minLength"], out["maxLength"] = low, high
    lists = [v for v in values if isinstance(v, (list, tuple))]
    if lists:
        items = [i for v in lists for i in v]
        out["items"] = schema(items, bounded) if items else {}
        if bounded:
            out["minItems"], out["maxItems"] = min(map(len, lists)), max(map(len, lists))
    objects = [v for v in values if isinstance(v, dict)]
    if objects:
        items = [i for v in objects for i in v.values()]
        out["additionalProperties"] = schema(items, bounded) if items else {}
    return out


PYTHON = {"boolean": "bool", "integer": "int", "number": "float", "string": "str", "array": "list", "object": "dict", "null": "None"}


def annotation(of):
    kinds = of["type"] if isinstance(of["type"], list) else [of["type"]]
    return " | ".join(PYTHON[k] for k in kinds)


# One change each. A site is a function that changes a fresh copy of the tree.

COMPARE = {
    ast.Lt: [ast.LtE, ast.Gt], ast.LtE: [ast.Lt, ast.GtE], ast.Gt: [ast.GtE, ast.Lt], ast.GtE: [ast.Gt, ast.LtE],
    ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq], ast.In: [ast.NotIn], ast.NotIn: [ast.In], ast.Is: [ast.IsNot], ast.IsNot: [ast.Is],
}  # fmt: skip
ARITHMETIC = {
    ast.Add: [ast.Sub], ast.Sub: [ast.Add], ast.Mult: [ast.Add, ast.Pow], ast.Div: [ast.FloorDiv, ast.Mult],
    ast.FloorDiv: [ast.Div, ast.Mod], ast.Mod: [ast.FloorDiv], ast.Pow: [ast.Mult], ast.BitXor: [ast.BitOr], ast.BitAnd: [ast.BitOr],
}  # fmt: skip
OTHER_CALL = {
    "min": "max", "max": "min", "any": "all", "all": "any", "sum": "len", "sorted": "list", "abs": "int", "reversed": "list",
    "set": "list", "round": "int", "ord": "len", "lower": "upper", "upper": "lower", "islower": "isupper", "isupper": "islower",
    "startswith": "endswith", "endswith": "startswith", "isalpha": "isdigit", "isdigit": "isalpha", "find": "rfind", "index": "count",
    "strip": "lstrip", "ceil": "floor", "floor": "ceil", "append": "insert", "split": "strip", "keys": "values", "count": "find",
}  # fmt: skip


def off_by(expression, n):
    return ast.BinOp(left=expression, op=ast.Add() if n > 0 else ast.Sub(), right=ast.Constant(value=abs(n)))


def swap(holder, field, make):
    """A site that replaces one field."""

    def change():
        setattr(holder, field, make(getattr(holder, field)))

    return change


def sites(function):
    """Yields (operator, line, change) for the tree of one function. A change works on this tree."""
    names = sorted(
        {a.arg for a in function.args.args}
        | {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    )
    for node in ast.walk(function):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Compare):
            for i, op in enumerate(node.ops):
                for other in COMPARE.get(type(op), []):
                    yield "comparison", line, lambda n=node, i=i, o=other: n.ops.__setitem__(i, o())
        elif isinstance(node, ast.BinOp):
            for other in ARITHMETIC.get(type(node.op), []):
                yield "arithmetic", line, swap(node, "op", lambda _, o=other: o())
            if not isinstance(node.op, (ast.Add, ast.Mult)):
                yield "operands", line, lambda n=node: n.__dict__.update(left=n.right, right=n.left)
        elif isinstance(node, ast.BoolOp):
            other = ast.Or if isinstance(node.op, ast.And) else ast.And
            yield "boolean", line, swap(node, "op", lambda _, o=other: o())
            for i in range(len(node.values)):
                yield "condition dropped", line, lambda n=node, i=i: n.values.pop(i)
        elif isinstance(node, (ast.If, ast.While)):
            yield "condition negated", line, swap(node, "test", lambda t: ast.UnaryOp(op=ast.Not(), operand=t))
            if isinstance(node, ast.If):
                yield "guard always true", line, swap(node, "test", lambda _: ast.Constant(value=True))
                yield "guard always false", line, swap(node, "test", lambda _: ast.Constant(value=False))
        elif isinstance(node, ast.IfExp):
            yield "branches", line, lambda n=node: n.__dict__.update(body=n.orelse, orelse=n.body)
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, bool):
                yield "constant", line, swap(node, "value", lambda v: not v)
            elif isinstance(node.value, (int, float)):
                for n in (1, -1):
                    yield "constant", line, swap(node, "value", lambda v, n=n: v + n)
            elif isinstance(node.value, str) and len(node.value) < 40:
                yield "text", line, swap(node, "value", lambda v: v[1:] if v else " ")
                if node.value.lower() != node.value or node.value.upper() != node.value:
                    yield "text", line, swap(node, "value", str.swapcase)
        elif isinstance(node, ast.Slice):
            for field in ("lower", "upper"):
                if getattr(node, field) is not None:
                    yield "slice", line, swap(node, field, lambda _: None)
                    yield "slice", line, swap(node, field, lambda e: off_by(e, 1))
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            if not isinstance(node.slice, (ast.Slice, ast.Constant, ast.Tuple)):
                yield "index", line, swap(node, "slice", lambda e: off_by(e, 1))
                yield "index", line, swap(node, "slice", lambda e: off_by(e, -1))
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in OTHER_CALL:
                field = "attr" if isinstance(node.func, ast.Attribute) else "id"
                yield "other function", line, swap(node.func, field, lambda n: OTHER_CALL[n])
            if called == "range":
                yield "range", line, lambda n=node: n.args.__setitem__(-1, off_by(n.args[-1], -1))
                yield "range", line, lambda n=node: n.args.__setitem__(-1, off_by(n.args[-1], 1))
                if len(node.args) > 1:
                    yield "range", line, lambda n=node: n.args.__setitem__(0, off_by(n.args[0], 1))
            if len(node.args) == 2 and called != "range":
                yield "arguments", line, lambda n=node: n.args.reverse()
            for i in range(len(node.keywords)):
                yield "keyword dropped", line, lambda n=node, i=i: n.keywords.pop(i)
        elif isinstance(node, ast.AugAssign):
            for other in ARITHMETIC.get(type(node.op), []):
                yield "arithmetic", line, swap(node, "op", lambda _, o=other: o())
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
            for other in names:
                if other != node.id:
                    yield "other variable", line, swap(node, "id", lambda _, o=other: o)
        elif isinstance(node, ast.UnaryOp):
            yield "sign", line, lambda n=node: n.__dict__.update(op=ast.UAdd() if isinstance(n.op, ast.USub) else ast.Not())
        elif isinstance(node, ast.comprehension):
            for i in range(len(node.ifs)):
                yield "filter dropped", node.ifs[i].lineno, lambda n=node, i=i: n.ifs.pop(i)
        for field in ("body", "orelse"):
            body = getattr(node, field, None)
            if not isinstance(body, list):
                continue
            for i, statement in enumerate(body):
                at = statement.lineno
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    continue
                if not isinstance(statement, ast.FunctionDef):
                    yield "statement dropped", at, lambda b=body, i=i: b.__setitem__(i, ast.Pass())
                if isinstance(statement, (ast.For, ast.While)) and i + 1 < len(body) and isinstance(body[i + 1], ast.Return):
                    yield "returns too early", at, lambda s=statement, b=body, i=i: s.body.append(b[i + 1])
                if isinstance(statement, ast.AugAssign):
                    yield "overwritten", at, lambda s=statement, b=body, i=i: b.__setitem__(
                        i, ast.Assign(targets=[s.target], value=s.value)
                    )
                if isinstance(statement, (ast.Break, ast.Continue)):
                    other = ast.Continue if isinstance(statement, ast.Break) else ast.Break
                    yield "jump", at, lambda b=body, i=i, o=other: b.__setitem__(i, o())


def entry_of(tree, name):
    return next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name)


def mutants(source, name, rng):
    """(operator, line, source) of every single change, in a drawn order that takes the operators in
    turn, so that none fills a small sample."""
    count = len(list(sites(entry_of(ast.parse(source), name))))
    by_operator, seen = {}, {ast.unparse(ast.parse(source))}
    for i in range(count):
        tree = ast.parse(source)
        operator, line, change = list(sites(entry_of(tree, name)))[i]
        change()
        try:
            text = ast.unparse(ast.fix_missing_locations(tree))
        except (ValueError, AttributeError, TypeError):
            continue
        if text not in seen:
            seen.add(text)
            by_operator.setdefault(operator, []).append((operator, line, text))
    groups = [by_operator[k] for k in sorted(by_operator)]
    for group in groups:
        rng.shuffle(group)
    rng.shuffle(groups)
    while any(groups):
        for group in groups:
            if group:
                yield group.pop()


# Drafts.


def result_of(outputs):
    """How the solution's result becomes JSON: the expression around the call, or None."""
    if all(as_json(o) is not None or o is None for o in outputs):
        flat = [p for o in outputs for p in parts(o)]
        if not any(isinstance(p, tuple) for p in flat):
            return "{}"
        if all(isinstance(o, tuple) for o in outputs) and not any(
            isinstance(p, tuple) for o in outputs for i in o for p in parts(i)
        ):
            return "list({})"
        if all(isinstance(o, list) and all(isinstance(i, tuple) for i in o) for o in outputs):
            return "[list(item) for item in {}]"
    return None


def describe(task):
    tree = ast.parse(task["prompt"] + "    pass\n")
    text = ast.get_docstring(entry_of(tree, task["entry_point"])) or task["entry_point"]
    return " ".join(text.split())


def wrapped(source, task, parameters, input_schema, output_schema, result):
    properties = input_schema["properties"]
    signature = ", ".join(f"{p}: {annotation(properties[p])}" for p in parameters)
    call = result.format(f"{task['entry_point']}({', '.join(parameters)})")
    return (
        f'"""{task["entry_point"].replace("_", " ").capitalize()}."""\n\n{source.strip()}\n\n\n'
        f"def run(*, {signature}) -> {annotation(output_schema)}:\n"
        f'    """What the task asks for."""\n    return {call}\n'
    )


def close(value):
    return {"tolerance": {"abs": 1e-6}} if any(isinstance(p, float) for p in parts(value)) else {}


def drafts(task, seed, most):
    """The drafts of one task: the right one first. Or the reason why there are none."""
    rng = random.Random(f"{seed}/{task['task_id']}")
    source = task["prompt"] + task["canonical_solution"]
    if checks(task, source) != "ok":
        return "its own tests fail"
    tree = ast.parse(source)
    parameters = [a.arg for a in entry_of(tree, task["entry_point"]).args.args]
    if "run" in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)} or not parameters:
        return "it takes nothing"
    entry = module(source)[task["entry_point"]]

    def usable(calls):
        for call in calls:
            plain = as_json(list(call))
            if plain is None or len(plain) != len(parameters):
                continue
            ended, output = limited(lambda: entry(*copy.deepcopy(plain)))
            if ended == "ok":
                yield plain, output

    of_tests = list(usable(recorded(task, source)[:MOST_CALLS]))
    of_docstring = list(usable(shown(task)))[:MOST_AUTHOR]
    result = result_of([o for _, o in of_tests + of_docstring])
    if result is None:
        return "its results are not JSON"
    keys = {json.dumps(c) for c, _ in of_docstring}
    rest = [(c, o) for c, o in of_tests if json.dumps(c) not in keys]
    rng.shuffle(rest)
    if len(of_docstring) < 2:
        more = 2 - len(of_docstring)
        of_docstring, rest = of_docstring + rest[:more], rest[more:]
    held_out = rest[: max(1, min(MOST_HELD_OUT, (len(rest) + 1) // 2))]
    if not rest or len(of_docstring) < 2:
        return "too few calls are tested"
    every = of_tests + of_docstring
    returns = entry_of(tree, task["entry_point"]).returns
    outputs = [as_json(o) for _, o in every]
    if returns is not None and ast.unparse(returns) == "float":
        outputs.append(0.5)
    input_schema = {
        "type": "object",
        "properties": {p: schema([c[i] for c, _ in every], True) for i, p in enumerate(parameters)},
        "required": parameters,
        "additionalProperties": False,
    }
    output_schema = schema(outputs, False)

    def case(origin, n, call, output):
        plain = as_json(output)
        more = {"held_out": True} if origin == "tester" else {}
        return {"name": f"{origin} {n + 1}", "origin": origin, "input": dict(zip(parameters, call)), "expect": plain, **close(plain), **more}

    def draft(text):
        return {
            "spec": {
                "name": re.sub(r"[^a-z0-9_]", "_", "he_" + task["entry_point"].lower())[:48],
                "description": describe(task),
                "input_schema": input_schema,
                "output_schema": output_schema,
                "domain": "transformation",
                "limits": {"cpu_ms": 1000},
            },
            "code": wrapped(text, task, parameters, input_schema, output_schema, result),
            "cases": [case("author", n, c, o) for n, (c, o) in enumerate(of_docstring)],
            "provenance": {"author": {"kind": "person", "name": "suite"}, "why": "gate quality"},
        }

    def item(n, text, **more):
        return {
            "id": f"{task['task_id']}#{n}",
            "task": task["task_id"],
            **more,
            "draft": draft(text),
            "held_out": [case("tester", n, c, o) for n, (c, o) in enumerate(held_out)],
        }

    out = [item(0, source, good=True, operator="", line=0, seen="ok")]
    endless = 0
    for operator, line, text in mutants(source, task["entry_point"], rng):
        if len(out) > most:
            break
        seen = checks(task, text)
        endless += seen == "timeout"
        # Endless ones cost the gate its whole patience, and say little: one of a task.
        if seen != "ok" and not (seen == "timeout" and endless > 1):
            out.append(item(len(out), text, good=False, operator=operator, line=line, seen=seen))
    return out


def main():
    source, to, seed = sys.argv[1], sys.argv[2], sys.argv[3]
    most = int(sys.argv[4]) if len(sys.argv) > 4 else 11
    with open(source, encoding="utf-8") as lines:
        tasks = [json.loads(line) for line in lines if line.strip()]
    if len(sys.argv) > 5:
        tasks = random.Random(seed).sample(tasks, int(sys.argv[5]))
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    sys.setrecursionlimit(2000)
    good = bad = 0
    left_out = {}
    with open(to, "w", encoding="utf-8") as out:
        for task in tasks:
            made = drafts(task, seed, most)
            if isinstance(made, str):
                left_out[task["task_id"]] = made
                continue
            for item in made:
                out.write(json.dumps(item, ensure_ascii=False) + "\n")
            good += 1
            bad += len(made) - 1
    print(f"{good} solutions, {bad} bugs; left out: {left_out}", file=sys.stderr)


if __name__ == "__main__":
    main()
