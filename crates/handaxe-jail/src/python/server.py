"""The server: a warm interpreter that forks one hardened child per call.

Trusted. It is the first process of the jail's process-id namespace, where there are namespaces,
never holds a byte of untrusted code, and does what the host says over one socket:

    M + id, scratch bytes, scratch inodes, takes files?   make a child (control groups attached)
    -> C + id, with the child's four pipe ends and pidfd
    -> X + id, wait status, user and system seconds, max. RSS   once it has ended
    -> F + id, errno                                          it could not be made
"""

import _socket
import select

CONTROL, PROC = 3, 4
NO_FD = 2**64 - 1


def serve(hook, settings, plan):
    control = _socket.socket(fileno=CONTROL)
    own_namespace = None
    if settings["place"] is None:
        own_namespace = os.open("self/ns/pid", os.O_RDONLY | os.O_CLOEXEC, dir_fd=PROC)
    poller = select.poll()
    poller.register(CONTROL, select.POLLIN)
    children = {}
    while True:
        for fd, event in poller.poll():
            if fd == CONTROL:
                message, extra = receive(control)
                if not message:
                    os._exit(0)
                ident, scratch, inodes, files = struct.unpack("<QQQQ", message[1:33])
                # Descriptors are given up in the child, by the hook.
                try:
                    place = own_place(settings, ident)
                    kind = own_namespace, place, scratch, inodes, files
                    made = make(hook, settings, plan, kind, extra)
                except OSError as error:
                    control.send(b"F" + struct.pack("<Qi", ident, error.errno or 0))
                else:
                    pid, pidfd, ends = made
                    children[pidfd] = ident, pid
                    poller.register(pidfd, select.POLLIN)
                    send(control, b"C" + struct.pack("<Q", ident), [*ends, pidfd])
                    for end in ends:
                        os.close(end)
                for group in extra:
                    os.close(group)
            else:
                poller.unregister(fd)
                ident, pid = children.pop(fd)
                _, status, usage = os.wait4(pid, 0)
                os.close(fd)
                times = usage.ru_utime, usage.ru_stime, usage.ru_maxrss
                control.send(b"X" + struct.pack("<QiddQ", ident, status, *times))


def receive(control):
    size = _socket.CMSG_SPACE(4 * 4)
    message, ancillary, _, _ = control.recvmsg(4096, size, _socket.MSG_CMSG_CLOEXEC)
    fds = []
    for level, kind, data in ancillary:
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
            fds.extend(struct.unpack(f"{len(data) // 4}i", data[: len(data) // 4 * 4]))
    return message, fds


def send(control, message, fds):
    rights = struct.pack(f"{len(fds)}i", *fds)
    control.sendmsg([message], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])


def own_namespaces(settings):
    """What a child must no longer be in, where there are namespaces."""
    if settings["place"] is not None:
        return b""
    kinds = "user", "mnt", "ipc", "uts", "cgroup"
    links = (os.readlink(f"self/ns/{kind}", dir_fd=PROC) for kind in kinds)
    return b"".join(link.encode().ljust(32, b"\0") for link in links)


def own_place(settings, ident):
    """The child's directory, where it cannot have a root of its own. The host removes it."""
    if settings["place"] is None:
        return ""
    place = f"{settings['place']}/{ident}"
    for name in ("", "/scratch", "/data", "/assets"):
        os.mkdir(place + name, 0o700)
    return place


def make(hook, settings, plan, kind, groups):
    own_namespace, place, scratch, inodes, files = kind
    if own_namespace is not None:
        failed = hook.next_pid_namespace(own_namespace)
        if failed:
            raise OSError(failed, "next_pid_namespace")
    path = place.encode() + b"\0" if place else b""
    theirs, ours = [], []
    try:
        for inward in (True, False, False, False):
            reader, writer = os.pipe2(os.O_CLOEXEC)
            theirs.append(reader if inward else writer)
            ours.append(writer if inward else reader)
        fds = [*theirs, PROC, *groups[:2], *[NO_FD] * (2 - len(groups[:2]))]
        blob = struct.pack("<11Q", *fds, scratch, inodes, files, len(path)) + plan + path
        pid = os.fork()
        if pid == 0:
            try:
                child(hook, settings, blob, place)
            except BaseException as error:
                fault = traceback.format_exc().encode("utf-8", "replace")[-2000:]
                try:
                    os.write(2, fault)
                finally:
                    os._exit(71)
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            raise
    except OSError:
        for fd in ours:
            os.close(fd)
        raise
    finally:
        for fd in theirs:
            os.close(fd)
    return pid, pidfd, ours


def child(hook, settings, blob, place):
    global SCRATCH
    if place:
        SCRATCH = f"{place}/scratch"
    become(hook, settings, hook.harden(blob))


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        settings = json.load(file)
    import_all(settings["modules"])
    hook = load_hook(settings["hook"])
    filter_program = read_all(settings["filter"])
    readable = b"".join(p.encode() + b"\0" for p in settings["readable"])
    data = b"".join(n.encode() + b"\0" for n in settings["data"])
    own = own_namespaces(settings)
    lengths = len(filter_program), len(readable), len(data), len(own)
    plan = struct.pack("<6Q", settings["skip"], settings["missing"], *lengths)
    plan += filter_program + readable + data + own
    freeze(hook, settings)
    serve(hook, settings, plan)


if __name__ == "__main__":
    main()
