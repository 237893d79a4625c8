"""The server: a warm interpreter that forks one hardened child per call.

Trusted. It is the first process of the jail's process-id namespace, where there are namespaces, and
never holds a byte of untrusted code. It does what the host says over one socket, in the hook's own
loop (`hook/serve.rs`).
"""

PROC = 4
NO_FD = 2**64 - 1


def own_namespaces(settings):
    """What a child must no longer be in, where there are namespaces."""
    if settings["place"] is not None:
        return b""
    kinds = "cgroup", "mnt", "ipc"
    links = (os.readlink(f"self/ns/{kind}", dir_fd=PROC) for kind in kinds)
    return b"".join(link.encode().ljust(32, b"\0") for link in links)


def serve(hook, settings, plan):
    """Returns in a child alone, once its call is over."""
    global SCRATCH
    place = settings["place"].encode() + b"\0" if settings["place"] is not None else b""
    # A child's own descriptors, control groups and sizes are filled in when it is made.
    words = [0] * 4 + [PROC, NO_FD, NO_FD, 0, 0, 0, len(place)]
    said = hook.serve((os.fork, struct.pack("<11Q", *words) + plan + place))
    report, own = said[:21], said[21:].decode()
    try:
        if own:
            SCRATCH = f"{own}/scratch"
        become(hook, settings, report)
    except BaseException:
        fault = traceback.format_exc().encode("utf-8", "replace")[-2000:]
        try:
            os.write(2, fault)
        finally:
            os._exit(71)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        settings = json.load(file)
    import_all(settings["modules"])
    hook = load_hook(settings["hook"])
    filter_program = read_all(settings["filter"])
    readable = b"".join(p.encode() + b"\0" for p in settings["readable"])
    data = b"".join(n.encode() + b"\0" for n in settings["data"])
    own = own_namespaces(settings)
    inherited = settings["inherited"]
    lengths = len(filter_program) - inherited, len(readable), len(data), len(own), inherited
    plan = struct.pack("<7Q", settings["skip"], settings["missing"], *lengths)
    plan += filter_program + readable + data + own
    freeze(hook, settings)
    serve(hook, settings, plan)


if __name__ == "__main__":
    main()
