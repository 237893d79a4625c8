"""Runs one tool on many inputs in one process.

Ours, and sent as the code of a call like any other; the tool's source comes as a string. Every input
gets a new module, an empty scratch and the same `random`; all else that a tool can change is shared
by the inputs, and so is this program, so nothing in what comes back is evidence.

Before each input its number is written to standard error, so that the host knows which one was under
way if the process dies.
"""

import errno
import json
import os
import random
import sys
import time
import types

ENCODE = json.JSONEncoder(allow_nan=False).encode


def run(source, inputs, file_inputs, stop_ms, output_bytes, observer):
    write, wall, cpu = os.write, time.perf_counter_ns, time.process_time_ns
    seed, watch = random.getstate(), watcher(observer)
    stop = stop_ms * 1_000_000
    last = wall() + stop, cpu() + stop
    items, size, body = [], 0, None
    for at, given in enumerate(inputs):
        # What is left goes to another process, and is then not blamed for this one's past.
        if at and (size > output_bytes or wall() > last[0] or cpu() > last[1]):
            break
        write(2, b"\x1e%d\n" % at)
        clear()
        random.setstate(seed)
        for name in file_inputs:
            given[name] = inside(given.get(name))
        module = types.ModuleType("tool")
        module.__file__ = "tool.py"
        sys.modules["tool"] = module
        item, begun, took = {}, None, None
        try:
            body = body or compile(source, "tool.py", "exec", dont_inherit=True)
            watch.enter()
            try:
                exec(body, module.__dict__)
                begun = wall()
                value = module.run(**given)
            finally:
                took = begun and wall() - begun
                watch.leave()
            item = finished(value, output_bytes)
            value = None
        except BaseException as error:
            if at and isinstance(error, MemoryError):
                # Perhaps of what the others left: it is tried again in a process of its own.
                break
            item = {"status": "tool_error", "error": described(error, module)}
        item["ns"] = took
        items.append(item)
        size += len(item.get("output") or "") + 256
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BaseException:
                pass
    return {"items": items, "observed": watch.report()}


def finished(value, most):
    try:
        text = ENCODE(value)
    except (TypeError, ValueError, RecursionError) as error:
        return {"status": "tool_error", "error": {"kind": "NotJson", "message": clipped(error)}}
    if len(text) > most:
        message = f"the output is {len(text)} bytes of JSON"
        return {"status": "output_limit", "error": {"kind": "OutputLimit", "message": message}}
    return {"status": "ok", "output": text}


def described(error, module):
    said = {"kind": type(error).__name__[:200], "message": clipped(error)}
    line = error.lineno if isinstance(error, SyntaxError) else None
    if isinstance(error, MemoryError):
        # What holds the memory is held by the frames.
        error.__traceback__ = None
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_globals is module.__dict__:
            line = step.tb_lineno
        step = step.tb_next
    if isinstance(line, int) and line > 0:
        said["line"] = line
    if isinstance(error, OSError) and error.errno in errno.errorcode:
        said["errno"] = errno.errorcode[error.errno]
    return said


def clipped(error):
    try:
        return str(error).encode("utf-8", "replace").decode()[:4000]
    except BaseException:
        return ""


def clear():
    for directory, folders, files in os.walk(".", topdown=False):
        for name in files:
            os.unlink(os.path.join(directory, name))
        for name in folders:
            path = os.path.join(directory, name)
            os.unlink(path) if os.path.islink(path) else os.rmdir(path)


def inside(value):
    if isinstance(value, list):
        return [inside(item) for item in value]
    return f"/data/{value}" if isinstance(value, str) else value


class Nobody:
    """Stands where no observer was sent."""

    @staticmethod
    def enter():
        pass

    leave = report = enter


def watcher(source):
    if source is None:
        return Nobody
    module = types.ModuleType("observer")
    exec(compile(source, "observer.py", "exec", dont_inherit=True), module.__dict__)
    return module
