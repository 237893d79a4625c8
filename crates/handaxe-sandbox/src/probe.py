"""What the host needs to know of an interpreter, as one JSON document. Run with -I -S."""
import sys


def main(modules):
    import importlib
    import json
    import os
    import struct

    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            pass
    executable = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        mapped = {line.split(None, 5)[5].rstrip("\n") for line in maps if "/" in line}
    libraries = sorted(
        p for p in mapped if p.startswith("/") and (".so" in os.path.basename(p) or p.endswith("so"))
    )
    loader = None
    with open(executable, "rb") as file:
        head = file.read(64)
        if head[:5] == b"\x7fELF\x02":
            (offset,) = struct.unpack_from("<Q", head, 32)
            size, count = struct.unpack_from("<HH", head, 54)
            for index in range(count):
                file.seek(offset + index * size)
                entry = file.read(size)
                kind, _, at, _, _, length = struct.unpack_from("<IIQQQQ", entry)
                if kind == 3:  # PT_INTERP
                    file.seek(at)
                    loader = file.read(length).rstrip(b"\0").decode()
    print(
        json.dumps(
            {
                "implementation": sys.implementation.name,
                "version": list(sys.version_info[:3]),
                "free_threaded": "t" in getattr(sys, "abiflags", ""),
                "executable": executable,
                "prefix": sys.base_prefix,
                "path": [p for p in sys.path if os.path.isdir(p)],
                "libraries": libraries,
                "loader": loader,
            }
        )
    )


main(sys.argv[1:])
