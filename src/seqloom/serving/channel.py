"""Messages between the server and the processes that translate: JSON on a socket, after its length in four bytes."""

import json
import socket
import struct
from typing import Any

_LENGTH = struct.Struct("!I")

Message = dict[str, Any]


def send(channel: socket.socket, message: Message) -> None:
    """Send a message. Raises `OSError` if the other side is gone."""
    content = json.dumps(message).encode()
    channel.sendall(_LENGTH.pack(len(content)) + content)


def receive(channel: socket.socket) -> Message | None:
    """Wait for a message, and return it; None if the other side is gone."""
    head = _exactly(channel, _LENGTH.size)
    content = None if head is None else _exactly(channel, _LENGTH.unpack(head)[0])
    return None if content is None else json.loads(content)


def ask(channel: socket.socket, message: Message) -> Message:
    """Send a message, and return the answer. Raises `OSError` if the other side is gone."""
    send(channel, message)
    if (answer := receive(channel)) is None:
        raise ConnectionError("the process has ended")
    return answer


def _exactly(channel: socket.socket, size: int) -> bytes | None:
    parts: list[bytes] = []
    while size:
        try:
            part = channel.recv(min(size, 1 << 20))
        except ConnectionError:
            return None
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
