"""Tests cannot reach another machine: neither their own process nor a Python process that they start."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_clone import clone_environment

ELSEWHERE = "192.0.2.1"  # reserved for documentation (RFC 5737): nobody has it
CHILD = f"""
import socket
for host in ({ELSEWHERE!r}, "a.test"):
    try:
        socket.create_connection((host, 80), timeout=5)
    except OSError as error:
        print(error.strerror)
"""
REFUSED = [
    f"tests must not leave this machine, and one wanted to reach ('{ELSEWHERE}', 80)",
    "tests must not leave this machine, and one wanted to look up 'a.test'",
]


def test_a_connection_to_another_machine_is_refused() -> None:
    with pytest.raises(OSError, match="must not leave this machine"):
        socket.create_connection((ELSEWHERE, 80), timeout=5)
    with pytest.raises(OSError, match="must not leave this machine"):
        asyncio.run(asyncio.open_connection(ELSEWHERE, 80))
    with (
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        pytest.raises(OSError, match="must not leave this machine"),
    ):
        datagrams.sendto(b"", (ELSEWHERE, 53))


def test_a_name_of_another_machine_is_not_looked_up() -> None:
    with pytest.raises(socket.gaierror, match="must not leave this machine"):
        socket.getaddrinfo("example.org", 443)


def test_this_machine_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        for host in ("127.0.0.1", "localhost"):
            socket.create_connection((host, server.getsockname()[1]), timeout=5).close()


def test_a_python_process_that_a_test_starts_is_refused_too() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == REFUSED


def test_a_process_in_a_clone_of_the_repository_is_refused_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD], env=clone_environment(tmp_path), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == REFUSED
