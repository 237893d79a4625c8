"""The first process of a container: warm, trusted, and never running a byte of a tool's.

It forks the one process that does, which puts on what layers a process can put on by itself, and
passes on what that writes. Standard input is the request, and goes to the child as it is; standard
output is frames, each a letter, a length and as many bytes:

    I   once: who and where this is, as JSON
    1 2 3   what the child wrote to its output, its errors, its result; none: it closed that
    T   seconds of processor time and KiB at the peak, of the child
    X   once: wait status, seconds, KiB, when the child has ended
"""

import select
import time

OUTPUT = 1
# Between two looks at the child's clock.
TICK_MS = 50
NO_FD = 2**64 - 1
KINDS = b"123"


def tell(kind, data):
    os_write_all(OUTPUT, kind + len(data).to_bytes(4, "little") + data)


def told_of_self(settings):
    """What the runtime gave: the host compares it with what it asked for."""
    for name in list(os.environ):
        if name not in settings["environment"]:
            del os.environ[name]
    places = {}
    for name in ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup"):
        try:
            places[name] = os.readlink(f"/proc/self/ns/{name}")
        except OSError:
            pass
    said = {"uid": os.getuid(), "pid": os.getpid(), "namespaces": places}
    said["environment"] = dict(os.environ)
    return json.dumps(said).encode()


def used(pid):
    """Processor time of the child, all its threads, and the most memory that it had."""
    try:
        seconds = time.clock_gettime((~pid << 3) | 2)
    except OSError:
        fields = read_all(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    peak = 0
    for line in read_all(f"/proc/{pid}/status").splitlines():
        if line.startswith((b"VmHWM:", b"VmRSS:")):
            peak = max(peak, int(line.split()[1]))
    return struct.pack("<dQ", seconds, peak)


def drain(end):
    """What is there now; `None` while there may be more."""
    try:
        return os.read(end, CHUNK)
    except BlockingIOError:
        return None


def pump(pid, ends):
    """Passes on what the child writes, in such order that its result's end comes last."""
    poller = select.poll()
    # Its reader is gone: so is the host.
    poller.register(OUTPUT, 0)
    for end in ends:
        os.set_blocking(end, False)
        poller.register(end, select.POLLIN)
    left, looked = list(ends), 0.0

    def pass_on(end):
        data = drain(end)
        if data is None:
            return False
        if end == ends[2]:
            if not data:
                for other in ends[:2]:
                    while other in left and pass_on(other):
                        pass
            tell(b"T", used(pid))
        if not data:
            left.remove(end)
            poller.unregister(end)
        tell(KINDS[ends.index(end) :][:1], data)
        return bool(data)

    while left:
        for end, _ in poller.poll(TICK_MS):
            if end == OUTPUT:
                os._exit(77)
            if end in left:
                pass_on(end)
        if time.monotonic() - looked > TICK_MS / 1000:
            looked = time.monotonic()
            tell(b"T", used(pid))


def main():
    settings = json.loads(sys.argv.pop())
    tell(b"I", told_of_self(settings))
    import_all(settings["modules"])
    hook = load_hook()
    filter_program = read_all("/handaxe/filter")
    readable = b"".join(p.encode() + b"\0" for p in settings["readable"])
    freeze(hook, settings)
    # Two, so that no pipe is where the child's descriptors go.
    proc = [os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for _ in range(2)]
    pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
    theirs = [os.dup(REQUEST), *(writer for _, writer in pipes)]
    words = settings["flags"], *theirs, proc[1], NO_FD, NO_FD
    blob = struct.pack("<11Q", *words, settings["scratch_bytes"], settings["scratch_inodes"], 1)
    # No directory of its own in a tree of the host's; no layer taken away or missing; no files of a
    # session, and no namespaces of a server's to be told from.
    blob += struct.pack("<8Q", 0, 0, 0, len(filter_program), len(readable), 0, 0, 0)
    blob += filter_program + readable
    pid = os.fork()
    if pid == 0:
        try:
            become(hook, settings, hook.contain(blob))
        except BaseException:
            fault = traceback.format_exc().encode("utf-8", "replace")[-2000:]
            try:
                os.write(2, fault)
            finally:
                os._exit(71)
    for fd in [REQUEST, *theirs]:
        os.close(fd)
    pump(pid, [reader for reader, _ in pipes])
    _, status, usage = os.wait4(pid, 0)
    seconds = usage.ru_utime + usage.ru_stime
    tell(b"X", struct.pack("<idQ", status, seconds, usage.ru_maxrss))


if __name__ == "__main__":
    main()
