"""Processes and threads without end, up to a bound of its own. Gives how far each got, and why no further."""
import errno
import os
import threading
import time


def run(most: int) -> dict:
    found = {}
    pids, stop = [], "bound"
    while len(pids) < most:
        try:
            pid = os.fork()
        except OSError as error:
            stop = errno.errorcode[error.errno]
            break
        if pid == 0:
            time.sleep(30)
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    found["forks"] = [len(pids), stop]
    threads, stop, done = 0, "bound", threading.Event()
    while threads < most:
        try:
            threading.Thread(target=done.wait, daemon=True).start()
        except (RuntimeError, MemoryError) as error:
            stop = str(error)
            break
        threads += 1
    done.set()
    found["threads"] = [threads, stop]
    return found
