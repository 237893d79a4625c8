"""Single attempts at the kernel's surface. Gives, by name, `OK` or the errno's name.

Those that a privileged process could succeed with, and so change the machine, are made only where
`privileged` says so: inside a jail. What the others leave behind is removed again.
"""
import ctypes
import errno
import os
import platform


def run(privileged: bool) -> dict:
    libc = ctypes.CDLL(None, use_errno=True)
    arm = platform.machine() == "aarch64"
    page = ctypes.create_string_buffer(4096)
    name = ctypes.create_string_buffer(b"handaxe-probe")

    def number(x86_64, aarch64):
        return aarch64 if arm else x86_64

    def attempt(*arguments):
        ctypes.set_errno(0)
        result = libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
        if result >= 0:
            return "OK", result
        return errno.errorcode.get(ctypes.get_errno(), "?"), result

    AT = -100
    calls = {
        "keyctl_join": (number(250, 219), 1, 0),
        "add_key": (number(248, 217), b"user", name, page, 4, -3),
        "io_uring_setup": (425, 1, page),
        "userfaultfd": (number(323, 282), 1),
        "shmget": (number(29, 194), 0, 4096, 0o1600),
        "msgget": (number(68, 186), 0, 0o1600),
        "semget": (number(64, 190), 0, 1, 0o1600),
        "mq_open": (number(240, 180), name, 0o102, 0o600, 0),
        "memfd_create": (number(319, 279), name, 0),
        "personality": (number(135, 92), 0x0040000),
        "pidfd_open": (434, os.getpid(), 0),
        "process_vm_readv": (number(310, 270), os.getpid(), page, 0, page, 0, 0),
        "inotify_init1": (number(294, 26), 0),
        "epoll_create1": (number(291, 20), 0),
        "eventfd2": (number(290, 19), 0, 0),
        "timerfd_create": (number(283, 85), 1, 0),
        "signalfd4": (number(289, 74), -1, page, 8, 0),
        "socketpair": (number(53, 199), 1, 1, 0, page),
        "pipe2": (number(293, 59), page, 0),
        "setpriority": (number(141, 140), 0, 0, 5),
        "sched_setaffinity": (number(203, 122), 0, 0, page),
        "mincore": (number(27, 232), 0, 0, page),
        "capget": (number(125, 90), ctypes.create_string_buffer(b"\x22\x05\x08\x20" + bytes(4)), page),
        "statfs": (number(137, 43), b"/", page),
        "symlinkat": (number(266, 36), b"/etc/passwd", AT, b"handaxe-probe-link"),
        "mknodat_fifo": (number(259, 33), AT, b"handaxe-probe-fifo", 0o010600, 0),
        "kill_0_self": (number(62, 129), os.getpid(), 0),
        "flock": (number(73, 32), 0, 8),
        "clone_process": (number(56, 220), 17, 0, 0, 0, 0),
    }
    for family, value in {"unix": 1, "inet": 2, "inet6": 10, "netlink": 16}.items():
        calls[f"socket_{family}"] = (number(41, 198), value, 2, 0)
    for family, value in {"vsock": 40, "bluetooth": 31, "algorithm": 38}.items():
        calls[f"socket_{family}"] = (number(41, 198), value, 5 if family == "algorithm" else 1, 0)
    calls["clone3"] = (435, page, 0)
    calls["openat2"] = (437, AT, b".", page, 0)
    # Never outside: started by root, these would succeed there.
    dangerous = {
        "mount": (number(165, 40), b"none", b"/scratch", b"tmpfs", 0, 0),
        "chroot": (number(161, 51), b"/scratch"),
        "bpf": (number(321, 280), 0, page, 48),
        "perf_event_open": (number(298, 241), page, 0, -1, -1, 0),
        "fanotify_init": (number(300, 262), 0, 0),
        "open_by_handle_at": (number(304, 265), AT, page, 0),
        # More segments than there may be.
        "kexec_load": (number(246, 104), 0, 1 << 20, 0, 0),
        "fsopen": (430, b"tmpfs", 0),
        "delete_module": (number(176, 106), name, 0),
        "lookup_dcookie": (number(212, 18), 0, page, 4096),
        "socket_packet": (number(41, 198), 17, 3, 0),
        "socket_raw": (number(41, 198), 2, 3, 1),
        "init_module": (number(175, 105), page, 0, b""),
        "swapon": (number(167, 224), b"/nonexistent", 0),
        "setns": (number(308, 268), 0, 0x10000000),
        "pivot_root": (number(155, 41), b".", b"."),
        "quotactl": (number(179, 60), 0, b"/", 0, page),
    }
    calls["execve"] = (number(59, 221), b"/nonexistent", 0, 0)
    if not arm:
        calls["modify_ldt"] = (154, 0, page, 16)
    removals = {
        "shmget": lambda i: attempt(number(31, 195), i, 0, 0),
        "msgget": lambda i: attempt(number(71, 187), i, 0, 0),
        "semget": lambda i: attempt(number(66, 191), i, 0, 0, 0),
        "mq_open": lambda i: attempt(number(241, 181), name),
    }
    # Last: a new user namespace gives every capability, a traced process stops at every signal.
    last = {
        "unshare_newuser": (number(272, 97), 0x10000000),
        "ptrace_traceme": (number(101, 117), 0, 0, 0, 0),
    }
    found = {}
    for key, arguments in {**calls, **(dangerous if privileged else {}), **last}.items():
        said, result = attempt(*arguments)
        if said == "OK" and key in removals:
            removals[key](result)
        if key == "clone_process" and said == "OK":
            if result == 0:
                os._exit(0)
            os.waitpid(result, 0)
        found[key] = said
    for left in ("handaxe-probe-link", "handaxe-probe-fifo"):
        try:
            os.unlink(left)
        except OSError:
            pass
    return found
