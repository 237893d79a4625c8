"""The cases that the tool was proved with, under plain pytest. Handaxe runs each in a jailed
process of its own and judges it on the host; here they run in this process, without a sandbox."""

import base64
import collections
import datetime
import hashlib
import importlib.util
import json
import math
import re
import statistics
import sys
from pathlib import Path

import pytest
import relations

TOOL = Path(__file__).resolve().parent.parent / "src" / "@MODULE@"
SPEC = json.loads((TOOL / "spec.json").read_text(encoding="utf-8"))
CASES = [
    json.loads(line)
    for line in (TOOL / "cases.jsonl").read_text(encoding="utf-8").split("\n")
    if line.strip()
]
NOT_RUN = json.loads((Path(__file__).resolve().parent / "not_run.json").read_text(encoding="utf-8"))
FILE_INPUTS = [
    name
    for name, schema in SPEC["input_schema"].get("properties", {}).items()
    if isinstance(schema, dict) and schema.get("format") == "file"
]


def content(file):
    return file.encode() if isinstance(file, str) else base64.b64decode(file["base64"])


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the tool in a new module and an empty folder."""
    calls = iter(range(1000))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def run(input, files, code=None):
        n = next(calls)
        scratch, data = tmp_path / f"scratch{n}", tmp_path / f"data{n}"
        scratch.mkdir()
        data.mkdir()
        for name, body in files.items():
            (data / name).write_bytes(body)
        monkeypatch.chdir(scratch)
        arguments = {
            name: str(data / value) if name in FILE_INPUTS and isinstance(value, str) and code is None else value
            for name, value in input.items()
        }
        path = TOOL / "tool.py"
        if code is not None:
            path = tmp_path / f"second{n}.py"
            path.write_text(code, encoding="utf-8")
        place = importlib.util.spec_from_file_location("tool", path)
        module = importlib.util.module_from_spec(place)
        place.loader.exec_module(module)
        return json.loads(json.dumps(module.run(**arguments), allow_nan=False))

    return run


def named(case):
    return f"{case.get('origin', 'user')}: {case.get('name', '')}"


@pytest.mark.parametrize("n", range(len(CASES)), ids=[named(case) for case in CASES])
def test_case(n, run):
    case = CASES[n]
    if str(n) in NOT_RUN:
        pytest.skip(NOT_RUN[str(n)])
    files = {name: content(file) for name, file in case.get("files", {}).items()}
    if "raises" in case:
        wanted = case["raises"]
        kind = wanted if isinstance(wanted, str) else wanted["kind"]
        with pytest.raises(BaseException) as caught:
            run(case["input"], files)
        assert caught.type.__name__ == kind
        if not isinstance(wanted, str):
            assert wanted["contains"] in str(caught.value)
        return
    if "relation" in case:
        pair = relations.Pair(
            run,
            lambda code, input: run(input, {}, code),
            case["input"],
            files,
            FILE_INPUTS,
            case.get("tolerance"),
        )
        assert pair.holds(case["relation"]), "the relation does not hold"
        return
    output = run(case["input"], files)
    if "holds" in case:
        known = dict(
            collections=collections, datetime=datetime, json=json, math=math, re=re,
            statistics=statistics, input=case["input"], output=output,
        )
        assert eval("(" + case["holds"] + "\n)", known) is True, "the property does not hold"
        return
    assert relations.same(case["expect"], output, case.get("tolerance")), (
        f"expected {case['expect']!r}, got {output!r}"
    )


def test_there_are_cases():
    assert CASES, "a tool without cases proves nothing"


def test_the_files_are_those_that_were_signed_for():
    """The digests of the evidence; that its signature holds is for `handaxe tools verify`."""
    envelope = json.loads((TOOL / "evidence.json").read_text(encoding="utf-8"))
    statement = json.loads(base64.b64decode(envelope["payload"]))
    seen = 0
    for subject in statement["subject"]:
        if "sha256" in subject["digest"] and (TOOL / subject["name"]).is_file():
            body = (TOOL / subject["name"]).read_bytes()
            assert hashlib.sha256(body).hexdigest() == subject["digest"]["sha256"], subject["name"]
            seen += 1
    assert seen >= 3, "the evidence speaks of other files"
