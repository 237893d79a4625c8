"""The bare loop: the same warm interpreter forks, rehearses and serves the same request, and no
isolation is made at all. The server's own code does the work. The first line of its input is the job; of each
further one, a number of calls, it says as JSON how long they took.
"""

import gc
import importlib
import json
import os
import resource
import sys
import time
import types


class Hook:
    """Stands where the hardening is."""

    @staticmethod
    def lower(_):
        return 0


def frame(server, code, given):
    document = server.json.dumps(
        {
            "parts": [0, len(code), 0],
            "input": given,
            "files": [],
            "file_outputs": [],
            "output_bytes": 1 << 20,
            "artifact_bytes": 0,
            "seal": False,
            "compile": False,
        }
    ).encode()
    return b"HXRQ" + bytes(16) + len(document).to_bytes(4, "little") + document + code


def used():
    own, theirs = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + theirs.ru_utime + theirs.ru_stime, theirs.ru_minflt


def serve(server, rehearsal, request):
    """One call, in a child of its own."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        server.answer(Hook, server.Inlet(0, rehearsal))
        reply, _ = server.answer(Hook, server.Inlet(0, request))
        os.write(writer, reply)
        os._exit(0)
    os.close(writer)
    reply = b""
    while part := os.read(reader, 65536):
        reply += part
    os.close(reader)
    os.waitpid(pid, 0)
    return reply[28 + len(server.PLAIN) :]


def main():
    job = json.loads(sys.stdin.readline())
    for name in job["modules"]:
        importlib.import_module(name)
    server = types.ModuleType("server")
    exec(compile(job["server"], "server.py", "exec"), server.__dict__)
    code = server.marshal.dumps(compile(job["code"], "tool.py", "exec"))
    request = frame(server, code, job["input"])
    rehearsal = server.rehearsal()
    server.answer(Hook, server.Inlet(0, rehearsal))
    gc.collect()
    gc.freeze()
    gc.disable()
    while line := sys.stdin.readline():
        calls, right = int(line), 0
        before, start = used(), time.perf_counter()
        for _ in range(calls):
            right += json.loads(serve(server, rehearsal, request)) == job["expected"]
        seconds, after = time.perf_counter() - start, used()
        spent = {"seconds": seconds, "cpu_ms": (after[0] - before[0]) * 1e3}
        print(json.dumps(spent | {"faults": after[1] - before[1], "right": right}), flush=True)


main()
