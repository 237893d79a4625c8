"""Runs a program at a terminal of its own: reads its steps from the arguments as JSON, waits for a
text before it types the next, and prints all that the program wrote."""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios
import time

argv, steps = json.loads(sys.argv[1]), json.loads(sys.argv[2])
child, terminal = pty.fork()
if child == 0:
    os.execvp(argv[0], argv)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
seen, since, until = b"", 0, time.monotonic() + 100


def read() -> bool:
    """Reads what there is; false where the program has gone."""
    global seen
    if not select.select([terminal], [], [], 0.1)[0]:
        return True
    try:
        more = os.read(terminal, 65536)
    except OSError:
        return False
    seen += more
    return bool(more)


alive = True
for expected, typed in steps:
    while alive and expected.encode() not in seen[since:] and time.monotonic() < until:
        alive = read()
    since = len(seen)
    if alive:
        os.write(terminal, typed.encode())
while alive and time.monotonic() < until:
    alive = read()
if alive:
    os.kill(child, 9)
_, status = os.waitpid(child, 0)
sys.stdout.buffer.write(seen)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
