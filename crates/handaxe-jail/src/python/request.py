"""What a process does with one request: lay the files out, run the tool, say what came of it.

Trusted until it runs the tool. Every backend's own program follows this text in the same file: the
native server (`server.py`), and whatever starts a container.
"""

import sys

# The program's own directory is no place for modules.
sys.path[:] = [p for p in sys.path if p not in ("", "/", "/handaxe")]

import errno
import gc
import importlib
import importlib.machinery
import importlib.util
import io
import json
import linecache
import marshal
import os
import stat
import struct
import traceback
import types

# A child has the server's state, which is seeded; by itself it would draw a seed at every fork.
at_fork, os.register_at_fork = os.register_at_fork, lambda **_: None
import random

os.register_at_fork = at_fork

REQUEST, RESULT = 0, 3
# The working directory of the call.
SCRATCH = "/scratch"
CHUNK = 1 << 16
# What a pipe takes without a reader, at the least.
PIPE = 1 << 12
# What `json.loads` and `json.dumps` come down to, made once.
DECODE = json.JSONDecoder().scan_once
ENCODE = json.JSONEncoder(allow_nan=False).encode


def import_all(modules):
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            pass  # a smaller build of Python: the tool would see the same


def load_hook(path="/handaxe/handaxe_hook.so"):
    loader = importlib.machinery.ExtensionFileLoader("handaxe_hook", path)
    spec = importlib.util.spec_from_loader("handaxe_hook", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def read_all(path):
    with open(path, "rb") as file:
        return file.read()


REHEARSAL = '''
"""Touches what tools touch, so that the pages are the child's own before a call waits."""
import json, re
from collections import Counter, defaultdict


class Thing:
    def __init__(self, value):
        self.value = value


def run(text: str, rows: list) -> dict:
    words = Counter(re.findall(r"[a-z]+", text.lower()))
    groups = defaultdict(list)
    for row in rows:
        groups[row["k"]].append(float(row["v"]))
    total = sum(Thing(v).value for g in groups.values() for v in g)
    lines = [f"{w}:{n:5.2f}" for w, n in sorted(words.items(), key=lambda p: (-p[1], p[0]))]
    try:
        int("x")
    except ValueError as error:
        lines.append(str(error))
    return {"top": words.most_common(3), "total": total, "lines": lines, "json": json.dumps(rows)}
'''

# What almost every result says of itself.
PLAIN = b'{"status":"ok","files":[]}'


def rehearsal():
    """A whole request for the program above, made in the server: the child walks the road of a call."""
    rows = [{"k": str(i % 5), "v": i} for i in range(12)]
    compiled = marshal.dumps(compile(REHEARSAL, "tool.py", "exec", dont_inherit=True))
    request = {
        "parts": [len(REHEARSAL), len(compiled), 0],
        "input": {"text": "the quick brown fox " * 40, "rows": rows},
        "files": [],
        "file_outputs": [],
        "output_bytes": 1 << 20,
        "artifact_bytes": 0,
        "seal": False,
        "compile": False,
    }
    document = json.dumps(request).encode()
    head = b"HXRQ" + bytes(16) + len(document).to_bytes(4, "little")
    return head + document + REHEARSAL.encode() + compiled


def become(hook, settings, report):
    """Rehearses, reports that and how hardening went, and serves the one call."""
    if report[0]:
        os_write_all(RESULT, b"HXRY" + report)
        os._exit(72)
    sys.modules["__main__"] = types.ModuleType("__main__")
    # Kept, so that the memory which the rehearsal took stays at hand, and is not taken apart again.
    kept = answer(hook, Inlet(REQUEST, settings["rehearsal"])), sys.modules.pop("tool", None)
    # In one: the host has nothing to do for the first word alone.
    os_write_all(RESULT, b"HXRY" + report + (b"HXGO" if PLAIN in kept[0][0] else b"HXNO"))
    reply, files = answer(hook, Inlet(REQUEST, b""))
    if files or len(reply) > PIPE:
        # Its end is what the host waits for, unless it hears that more comes than a pipe takes.
        try:
            os.close(2)
        except OSError:
            pass  # the tool did, and the host has heard of it
    os_write_all(RESULT, reply)
    for _, size, fd in files:
        while size:
            block = os.read(fd, min(size, CHUNK))
            if not block:
                os._exit(76)
            os_write_all(RESULT, block)
            size -= len(block)
    os.close(RESULT)
    hook.rest(None)


class Inlet:
    """Bytes of a descriptor, in pieces of the size asked for."""

    def __init__(self, fd, data):
        self.fd, self.data = fd, data

    def take(self, size):
        parts, have = [self.data], len(self.data)
        while have < size:
            part = os.read(self.fd, CHUNK)
            if not part:
                os._exit(0)
            parts.append(part)
            have += len(part)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self.data = data[size:]
        return data[:size]


def answer(hook, inlet):
    """Reads a request, serves it, and gives the reply's bytes and the files that follow it."""
    head = inlet.take(24)
    nonce = head[4:20]
    if head[:4] != b"HXRQ":
        os._exit(73)
    request, _ = DECODE(inlet.take(int.from_bytes(head[20:], "little")).decode(), 0)
    code, compiled, limits = [inlet.take(size) for size in request["parts"]]
    for directory, name, length in request["files"]:
        lay(inlet, directory, name, length)
    if request["seal"]:
        failed = hook.seal(SCRATCH.encode() + b"\0")
        if failed:
            os._exit(74)
    if hook.lower(limits):
        os._exit(75)
    if request["compile"]:
        # This process never runs the code: what it gives is the compiler's word, not the tool's.
        output = marshal.dumps(compile(code.decode(), "tool.py", "exec", dont_inherit=True))
        return b"HXRS" + nonce + struct.pack("<II", len(PLAIN), len(output)) + PLAIN + output, []
    gc.enable()
    status, meta, output, value = execute(code, compiled, request["input"], request["output_bytes"])
    gc.disable()
    files = []
    if status == "ok" and request["file_outputs"]:
        try:
            files = artefacts(value, request["file_outputs"], request["artifact_bytes"])
        except Refused as refused:
            status, output = "tool_error", b""
            meta = {"kind": "FileOutput", "message": str(refused)}
    if status == "ok" and not files:
        meta = PLAIN
    else:
        meta = {"status": status, **meta, "files": [[name, size] for name, size, _ in files]}
        meta = json.dumps(meta).encode()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass
    return b"HXRS" + nonce + struct.pack("<II", len(meta), len(output)) + meta + output, files


def os_write_all(fd, data):
    data = memoryview(data)
    while data:
        data = data[os.write(fd, data) :]


def lay(inlet, directory, name, length):
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    fd = os.open(f"{directory}/{name}", flags, 0o444)
    try:
        while length:
            part = inlet.take(min(length, CHUNK))
            os_write_all(fd, part)
            length -= len(part)
    finally:
        os.close(fd)


def execute(code, compiled, given, output_bytes):
    """Gives the status, what to say of it, the output as JSON bytes, and as a value."""
    module = types.ModuleType("tool")
    module.__file__ = "tool.py"
    sys.modules["tool"] = module
    try:
        if compiled:
            body = marshal.loads(compiled)
        else:
            body = compile(code.decode(), "tool.py", "exec", dont_inherit=True)
        exec(body, module.__dict__)
        value = module.run(**given)
        try:
            output = ENCODE(value).encode()
        except (TypeError, ValueError, RecursionError) as error:
            said = {"kind": "NotJson", "message": clipped(str(error))}
            return "tool_error", said, b"", None
    except BaseException as error:
        return "tool_error", describe(error, code), b"", None
    if len(output) > output_bytes:
        said = {"kind": "OutputLimit", "message": f"the output is {len(output)} bytes of JSON"}
        return "output_limit", said, b"", None
    return "ok", {}, output, value


def clipped(text):
    return text.encode("utf-8", "replace").decode()[:4000]


def describe(error, code):
    memory = isinstance(error, MemoryError)
    try:
        message = clipped(str(error))
    except BaseException:
        message = ""
    said = {"kind": type(error).__name__[:200], "message": message}
    if memory:
        # What holds the memory is held by the frames.
        trace, error.__traceback__ = error.__traceback__, None
        del trace
    line = None
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == "tool.py":
            line = step.tb_lineno
        step = step.tb_next
    if line is None and isinstance(error, SyntaxError):
        line = error.lineno
    if isinstance(line, int) and line > 0:
        said["line"] = line
    if isinstance(error, OSError) and error.errno in errno.errorcode:
        said["errno"] = errno.errorcode[error.errno]
    if not memory:
        try:
            lines = code.decode().splitlines(True)
            linecache.cache["tool.py"] = len(code), None, lines, "tool.py"
            trace = error.__traceback__ and error.__traceback__.tb_next
            parts = traceback.format_exception(type(error), error, trace, limit=-20)
            sys.stderr.write("".join(parts)[:20000])
        except BaseException:
            pass
    return said


class Refused(Exception):
    pass


def plain(name):
    """One component, in characters that JSON has."""
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        return False
    return not any("\ud800" <= character <= "\udfff" for character in name)


def artefacts(value, properties, most):
    """Opens the files that the output names: plain ones, in the scratch, with one name."""
    found, total = [], 0
    for name in properties:
        named = value.get(name) if type(value) is dict else None
        for file in named if type(named) is list else [named]:
            if file is None:
                continue
            if type(file) is not str or not plain(file):
                raise Refused(f"`{name}` must hold a plain file name of the working directory")
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            try:
                fd = os.open(f"{SCRATCH}/{file}", flags)
            except OSError as error:
                raise Refused(f"`{file}` cannot be handed back: {os.strerror(error.errno)}") from None
            seen = os.fstat(fd)
            if not stat.S_ISREG(seen.st_mode):
                raise Refused(f"`{file}` is not a regular file")
            if seen.st_nlink != 1:
                raise Refused(f"`{file}` has more than one name")
            total += seen.st_size
            if total > most:
                raise Refused(f"the files are more than {most} bytes together")
            if file not in (f[0] for f in found):
                found.append((file, seen.st_size, fd))
    return found


def freeze(hook, settings):
    """Makes the rehearsal, walks it once, so that what is made on first use (patterns, encoders) is
    made for all, and leaves the collector nothing to do."""
    settings["rehearsal"] = rehearsal()
    answer(hook, Inlet(REQUEST, settings["rehearsal"]))
    sys.modules.pop("tool", None)
    random.seed(settings["seed"])
    gc.disable()
    gc.collect()
    gc.freeze()
    gc.disable()


