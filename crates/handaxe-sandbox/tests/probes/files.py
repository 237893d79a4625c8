"""Tries to read and to write host files. Gives, by path, what came of it."""
import errno
import os


def outcome(action):
    try:
        return action()
    except OSError as error:
        return errno.errorcode.get(error.errno, "?")


def run(read: list, write: list, make: list) -> dict:
    def reading(path):
        with open(path, "rb") as file:
            return "OK " + file.read(64).decode("utf-8", "replace")

    def writing(path):
        with open(path, "ab") as file:
            file.write(b"overwritten")
        return "OK"

    def making(path):
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        os.close(fd)
        return "OK"

    return {
        "read": {p: outcome(lambda: reading(p)) for p in read},
        "write": {p: outcome(lambda: writing(p)) for p in write},
        "make": {p: outcome(lambda: making(p)) for p in make},
    }
