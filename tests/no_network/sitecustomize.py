"""Refuse connections and name lookups that leave this machine.

tests/conftest.py imports this module and puts its folder on PYTHONPATH, so that every Python process that a test starts
imports it first. An audit hook covers everything that goes through Python's `socket` module, including asyncio, and
cannot be removed.

It does not cover processes that are not Python (git, curl), Python started with -I, -E or -S or without this folder on
PYTHONPATH, and libraries that open sockets without Python (libpq, gRPC, uvloop).
"""

import errno
import socket
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

NO_NETWORK = __file__.rpartition("/")[0]
_CONNECTING = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_REFUSAL = "tests must not leave this machine, and one wanted to"


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _is_here(host: str) -> bool:
    address = _address(host)
    if address is None:
        return host in ("", "localhost", socket.gethostname()) or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if not _CONNECTING:  # the interpreter is ending and has cleared this module
        return
    if event in _CONNECTING:
        place = arguments[1]
        if isinstance(place, tuple) and not _is_here(place[0]):  # else the path of a socket file
            raise OSError(errno.ENETUNREACH, f"{_REFUSAL} reach {place!r}")
    elif event == "socket.getaddrinfo" and arguments[0]:
        host = arguments[0].decode() if isinstance(arguments[0], bytes) else arguments[0]
        if _address(host) is None and not _is_here(host):
            raise socket.gaierror(socket.EAI_AGAIN, f"{_REFUSAL} look up {host!r}")


sys.addaudithook(_refuse)
