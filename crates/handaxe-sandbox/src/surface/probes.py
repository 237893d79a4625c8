"""Sixty-one single attempts at the kernel's surface. Gives, by name: `open`, the errno's name, or
what else was seen. Harmless inside a jail; some would change a machine if they succeeded on it.

System calls are made with `ctypes`. A tool has no `ctypes` (the library behind it is not in the
jail), but whoever breaks the interpreter can make any call, so that is who is assumed here.
"""

import ctypes
import errno
import os
import platform

ARM = platform.machine() == "aarch64"
AT = -100


def run() -> dict:
    libc = ctypes.CDLL(None, use_errno=True)
    page = ctypes.create_string_buffer(4096)
    name = ctypes.create_string_buffer(b"handaxe-probe")

    def attempt(x86_64, aarch64, *arguments):
        number = aarch64 if ARM else x86_64
        if number is None:
            return "ENOSYS"
        ctypes.set_errno(0)
        given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
        result = libc.syscall(ctypes.c_long(number), *given)
        return "open" if result >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")

    def opens(path, mode=os.O_RDONLY):
        try:
            os.close(os.open(path, mode))
        except OSError as error:
            return errno.errorcode.get(error.errno, "?")
        return "open"

    def lists(path):
        try:
            os.listdir(path)
        except OSError as error:
            return errno.errorcode.get(error.errno, "?")
        return "open"

    def socket(family, kind, protocol=0):
        return attempt(41, 198, family, kind, protocol)

    def kernel_addresses():
        try:
            with open("/proc/kallsyms", encoding="ascii") as symbols:
                line = symbols.readline()
        except OSError as error:
            return errno.errorcode.get(error.errno, "?")
        return "zeros" if line.startswith("0" * 16) else "open"

    def bind_abstract():
        said = socket(1, 1)
        if said != "open":
            return said
        address = ctypes.create_string_buffer(b"\1\0\0handaxe-probe")
        return attempt(49, 200, 4, address, 16)

    def run_from_memory():
        said = attempt(319, 279, name, 0)
        if said != "open":
            return said
        return attempt(322, 281, 4, b"", 0, 0, 0x1000)

    def rewrite_core_pattern():
        path = "/proc/sys/kernel/core_pattern"
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            return errno.errorcode.get(error.errno, "?")
        return "open"

    probes = {
        "keyctl_join": lambda: attempt(250, 219, 1, 0),
        "add_key": lambda: attempt(248, 217, b"user", name, page, 4, -3),
        "io_uring_setup": lambda: attempt(425, 425, 1, page),
        "userfaultfd": lambda: attempt(323, 282, 1),
        "userfaultfd_full": lambda: attempt(323, 282, 0),
        "bpf_prog_load": lambda: attempt(321, 280, 5, page, 48),
        "perf_event_open": lambda: attempt(298, 241, page, 0, -1, -1, 0),
        "fanotify_init": lambda: attempt(300, 262, 0, 0),
        "open_by_handle_at": lambda: attempt(304, 265, AT, page, 0),
        "kexec_load": lambda: attempt(246, 104, 0, 0, 0, 0),
        "init_module": lambda: attempt(175, 105, page, 0, b""),
        "delete_module": lambda: attempt(176, 106, name, 0),
        "syslog_read_all": lambda: attempt(103, 116, 3, page, 4096),
        "personality_RIE": lambda: attempt(135, 92, 0x0400000),
        "modify_ldt": lambda: attempt(154, None, 0, page, 16),
        "shmget": lambda: attempt(29, 194, 0, 4096, 0o1600),
        "msgget": lambda: attempt(68, 186, 0, 0o1600),
        "semget": lambda: attempt(64, 190, 0, 1, 0o1600),
        "mq_open": lambda: attempt(240, 180, name, 0o102, 0o600, 0),
        "memfd_create": lambda: attempt(319, 279, name, 0),
        "pidfd_getfd": lambda: attempt(438, 438, -1, 0, 0),
        "process_vm_readv_parent": lambda: attempt(310, 270, os.getppid() or 1, page, 1, page, 1, 0),
        "quotactl": lambda: attempt(179, 60, 0x80000700, b"/", 0, page),
        "lookup_dcookie": lambda: attempt(212, 18, 0, page, 4096),
        "add_swap_swapon": lambda: attempt(167, 224, b"/nonexistent", 0),
        "mount_tmpfs": lambda: attempt(165, 40, b"none", b"/scratch", b"tmpfs", 0, 0),
        "chroot": lambda: attempt(161, 51, b"/scratch"),
        "sock_AF_VSOCK": lambda: socket(40, 1),
        "sock_AF_ALG": lambda: socket(38, 5),
        "sock_NETLINK_ROUTE": lambda: socket(16, 3, 0),
        "sock_NETLINK_NETFILTER": lambda: socket(16, 3, 12),
        "sock_AF_PACKET": lambda: socket(17, 3, 0x300),
        "sock_INET_STREAM": lambda: socket(2, 1),
        "sock_INET_RAW": lambda: socket(2, 3, 1),
        "sock_INET6_DGRAM": lambda: socket(10, 2),
        "sock_AF_UNIX": lambda: socket(1, 1),
        "sock_AF_BLUETOOTH": lambda: socket(31, 3, 1),
        "sock_AF_XDP": lambda: socket(44, 3),
        "sock_AF_KEY": lambda: socket(15, 3, 2),
        "abstract_unix_bind": bind_abstract,
        "memfd_exec": run_from_memory,
        "TIOCSTI_dev_tty": lambda: opens("/dev/tty", os.O_RDWR),
        "sched_FIFO": lambda: attempt(144, 119, 0, 1, ctypes.create_string_buffer(b"\1\0\0\0")),
        "nice_-5": lambda: attempt(141, 140, 0, 0, -5),
        "file_proc_kcore": lambda: opens("/proc/kcore"),
        "file_proc_sysrq": lambda: opens("/proc/sysrq-trigger", os.O_WRONLY),
        "file_proc_sys_hostname_w": lambda: opens("/proc/sys/kernel/hostname", os.O_WRONLY),
        "file_core_pattern_w": lambda: opens("/proc/sys/kernel/core_pattern", os.O_WRONLY),
        "file_proc_1_environ": lambda: opens("/proc/1/environ"),
        "file_proc_keys": lambda: opens("/proc/keys"),
        "file_sys_fs_cgroup_ls": lambda: lists("/sys/fs/cgroup"),
        "file_dev_mem": lambda: opens("/dev/mem"),
        "file_dev_kvm": lambda: opens("/dev/kvm", os.O_RDWR),
        "file_dev_fuse": lambda: opens("/dev/fuse", os.O_RDWR),
        "file_etc_shadow": lambda: opens("/etc/shadow"),
        "file_oom_score_adj": lambda: opens("/proc/self/oom_score_adj", os.O_WRONLY),
        "kallsyms_addr_visible": kernel_addresses,
        "core_pattern_same_value_write": rewrite_core_pattern,
        # Last: a new user namespace gives every capability, a traced process stops at every signal.
        "unshare_NEWNET+USER": lambda: attempt(272, 97, 0x50000000),
        "unshare_NEWUSER": lambda: attempt(272, 97, 0x10000000),
        "ptrace_traceme": lambda: attempt(101, 117, 0, 0, 0, 0),
    }
    return {name: probe() for name, probe in probes.items()}
