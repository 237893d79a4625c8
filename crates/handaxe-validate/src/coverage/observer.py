"""Notes every jump from line to line inside the tool, for one process of a batch.

It shares the process with the tool, so what it says is shown and decides nothing.
"""

import sys

# More than a source of 64 KiB can have.
MOST = 50_000
jumps = set()


def called(frame, event, arg):
    code = frame.f_code
    if code.co_filename != "tool.py" or len(jumps) > MOST:
        return None
    # The end of a comprehension or a lambda is no way out of the function around it.
    named = not code.co_name.startswith("<") or code.co_name == "<module>"
    before = 0

    def step(frame, event, arg):
        nonlocal before
        if event == "line":
            jumps.add((before, frame.f_lineno))
            before = frame.f_lineno
        elif event == "exception" and arg[0] is not StopIteration:
            # Being thrown somewhere is no choice of the line.
            before = 0
        elif event == "return" and named and before:
            jumps.add((before, 0))
        return step

    return step


def enter():
    sys.settrace(called)


def leave():
    sys.settrace(None)


def report():
    return sorted(jumps)
