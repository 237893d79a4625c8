"""Runs the tool once: its arguments as a JSON object, its result as JSON.

    python3 call.py '{"text": "a b"}'        or the object on standard input

Exit code 0: the result is on standard output. 1: the tool raised, the error is JSON on standard
error. 2: the arguments are not an object that the tool takes. There is no sandbox here.
"""

import importlib.util
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOL = HERE / "tool"


class Refused(ValueError):
    """The arguments do not fit."""


def strict(text):
    """JSON without repeated keys, NaN or Infinity."""

    def unique(pairs):
        keys = [key for key, _ in pairs]
        if len(keys) != len(set(keys)):
            raise Refused("a key is there twice")
        return dict(pairs)

    def constant(word):
        raise Refused(f"{word} is not JSON")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise Refused(f"not JSON: {error}") from None
    except RecursionError:
        raise Refused("nested too deep") from None


def load():
    """The tool's module, new each time, so that no call sees what another left."""
    sys.dont_write_bytecode = True
    place = importlib.util.spec_from_file_location("tool", TOOL / "tool.py")
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


def fitted(arguments, schema):
    """Names checked; what is optional and null is left out, unless null is a value there."""
    if not isinstance(arguments, dict):
        raise Refused("the arguments are not an object")
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    unknown = sorted(set(arguments) - set(properties))
    if unknown:
        raise Refused(f"no argument is named {', '.join(unknown)}")
    missing = [name for name in required if name not in arguments]
    if missing:
        raise Refused(f"missing: {', '.join(missing)}")

    def null_is_a_value(property):
        kinds = property.get("type")
        return (
            "null" in (kinds if isinstance(kinds, list) else [kinds])
            or None in property.get("enum", [])
            or any(null_is_a_value(one) for one in property.get("anyOf", []))
        )

    return {
        name: value
        for name, value in arguments.items()
        if not (value is None and name not in required and not null_is_a_value(properties[name]))
    }


def call(arguments):
    """The tool's result, as JSON has it."""
    spec = json.loads((TOOL / "spec.json").read_text(encoding="utf-8"))
    result = load().run(**fitted(arguments, spec["input_schema"]))
    return json.loads(json.dumps(result, allow_nan=False))


def main():
    text = sys.argv[1] if len(sys.argv) > 1 else sys.stdin.read()
    try:
        result = call(strict(text))
    except Refused as error:
        print(json.dumps({"error": {"kind": "arguments", "message": str(error)}}), file=sys.stderr)
        return 2
    except Exception as error:
        told = {"kind": type(error).__name__, "message": str(error)}
        print(json.dumps({"error": told}), file=sys.stderr)
        return 1
    print(json.dumps(result, ensure_ascii=False, allow_nan=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
