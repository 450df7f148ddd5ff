"""Decides who may use the server, and how often. Keys are known by their SHA-256 only."""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

from seqloom.errors import AccessError, ParamsError, RateError
from seqloom.serving.settings import ServingSettings

KEYS_VARIABLE = "SEQLOOM_KEYS"
_MOST_CLIENTS = 10_000  # whose rates are remembered
_HASH_LENGTH = 64
_HEXADECIMAL = frozenset("0123456789abcdef")


class Access:
    """Admits requests by key and rate. `clock` returns seconds."""

    def __init__(self, settings: ServingSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = settings.keys
        self._by_key = _Rate(settings.key_rate, "this key", clock)
        self._by_address = _Rate(settings.address_rate, "this address", clock)

    @property
    def key_required(self) -> bool:
        """Whether requests need a key."""
        return bool(self._keys)

    def admit(self, address: str, key: str | None = None) -> str:
        """Count a request, and return the name of its client for `Query.client`.

        The name is derived from the key, or from the address if no key is needed, and contains neither.

        Raises:
            AccessError: a key is needed, and this one is missing or wrong.
            RateError: the key or the address exceeded its rate.
        """
        self._by_address.count(address)
        if not self._keys:
            return hash_key(address)[:12]
        hashed = hash_key(key or "")
        if not any(hmac.compare_digest(hashed, known) for known in self._keys):
            raise AccessError("an API key is needed" if not key else "the API key is not valid")
        self._by_key.count(hashed)
        return hashed[:12]


class _Rate:
    """Allows `per_minute` requests of each client, in bursts too; 0 allows any number."""

    def __init__(self, per_minute: int, what: str, clock: Callable[[], float]) -> None:
        self._most, self._what, self._clock = per_minute, what, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # requests, and when that was

    def count(self, client: str) -> None:
        """Count a request of a client. Raises `RateError` if it has none left."""
        if not self._most:
            return
        now = self._clock()
        left, then = self._left.pop(client, (float(self._most), now))
        left = min(float(self._most), left + (now - then) * self._most / 60)
        admitted = left >= 1
        self._left[client] = (left - 1 if admitted else left, now)
        if len(self._left) > _MOST_CLIENTS:
            self._left.popitem(last=False)
        if not admitted:
            raise RateError(f"{self._what} may send {self._most} requests per minute", (1 - left) * 60 / self._most)


def hash_key(key: str) -> str:
    """Return the SHA-256 of a key, in hexadecimal."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


def new_key() -> str:
    """Return a random key."""
    return secrets.token_urlsafe(32)


def read_keys(file: Path | None, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the hashes in a file, one per line, and those in the variable SEQLOOM_KEYS, separated by spaces.

    Empty lines and comments (`#`) are ignored, also behind a hash.

    Raises:
        ParamsError: a line is not the SHA-256 of a key. The message does not repeat it, since it may be a key.
    """
    lines = [
        (f"{KEYS_VARIABLE}: word {number}", word) for number, word in _numbered(environment.get(KEYS_VARIABLE, ""))
    ]
    if file is not None:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            lines.append((f"{file}: line {number}", line.partition("#")[0].strip()))
    for where, found in lines:
        if found and not (len(found) == _HASH_LENGTH and set(found) <= _HEXADECIMAL):
            raise ParamsError(
                f"{where}: is not the SHA-256 of a key (64 hexadecimal digits); `seqloom serve --new-key` makes both"
            )
    return tuple(dict.fromkeys(found for _, found in lines if found))


def _numbered(words: str) -> list[tuple[int, str]]:
    return list(enumerate(words.split(), start=1))
