import socket

import pytest

from seqloom.serving.channel import ask, receive, send


def test_messages_arrive_whole_and_in_order():
    one, other = socket.socketpair()
    with one, other:
        messages = [{}, {"text": "ü\ud800\n" * 5_000}, {"numbers": [1.5, None, True]}]
        for each in messages:
            send(one, each)
        assert [receive(other) for _ in messages] == messages


def test_the_end_of_the_other_side_is_no_message():
    one, other = socket.socketpair()
    other.close()
    with one:
        assert receive(one) is None
        with pytest.raises(OSError, match=r"(?i)broken pipe|ended"):
            ask(one, {})


def test_half_a_message_is_none():
    one, other = socket.socketpair()
    with one:
        with other:
            other.sendall(b"\0\0\0\5{")
        assert receive(one) is None
