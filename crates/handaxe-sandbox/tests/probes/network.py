"""Tries to reach a listener by every road. Gives, by road, `OK` or the error's kind."""
import os
import socket
import urllib.request


def run(port: int, abstract: str) -> dict:
    def fetch():
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).read()

    def tcp():
        socket.create_connection(("127.0.0.1", port), timeout=2).close()

    def udp():
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port))

    def unix():
        with socket.socket(socket.AF_UNIX) as s:
            s.connect("\0" + abstract)

    def resolve():
        socket.getaddrinfo("localhost", 80)

    found = {}
    for road in (fetch, tcp, udp, unix, resolve):
        try:
            road()
            found[road.__name__] = "OK"
        except BaseException as error:
            found[road.__name__] = f"{type(error).__name__}: {error}"[:200]
    return found
