"""Notes what the tool reaches for, for one process of a batch, by an audit hook (PEP 578).

A hook cannot be taken away again from Python. It shares the process with the tool all the same, so
what it does not say proves nothing: the jail and the limits do.
"""

import os
import sys

# Enough to tell a person what was tried.
MOST = 64
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
active = False
seen = set()
# The interpreter's own, which an import or a traceback opens.
OWN = tuple({sys.prefix, sys.base_prefix, os.path.dirname(os.__file__), "/usr/share/zoneinfo"})
NAMES = ("os.", "socket.", "subprocess.", "shutil.", "ctypes.", "fcntl.", "mmap.", "signal.", "tempfile.")
# Asked by imports and by reading a directory's entry for a module.
QUIET = {"os.listdir", "os.scandir", "os.putenv", "os.unsetenv", "os.walk"}


def hook(event, args):
    if not active or len(seen) >= MOST:
        return
    if event == "open":
        path, mode, flags = args
        if isinstance(path, bytes):
            path = path.decode("utf-8", "replace")
        if not isinstance(path, str):
            return
        writes = bool(isinstance(flags, int) and flags & WRITING) or any(c in (mode or "") for c in "wax+")
        if writes or not path.startswith(OWN):
            seen.add(("write" if writes else "read", path[:200]))
    elif event.startswith(NAMES) and event not in QUIET:
        seen.add(("other", event[:200]))


sys.addaudithook(hook)


def enter():
    global active
    active = True


def leave():
    global active
    active = False


def report():
    return sorted(seen)
