"""JSON from the API of a catalogue, with limits on its size and time."""

import json
import re
import time
from typing import Any, NamedTuple

from seqloom.corpus.sources import http_client
from seqloom.errors import OfflineError, SourceError

_LARGEST = 1 << 26  # bytes
_TIMEOUT, _LONGEST = 20.0, 300.0  # seconds
_BLOCK = 1 << 16
_NEXT = re.compile(r'<([^<>]+)>\s*;\s*rel="next"')


def literal(url: str) -> str:
    """Escape what `open_url` would fill in from the environment; a server must not be able to ask for it."""
    return url.replace("${", "%24{")


class Answer(NamedTuple):
    """The content of an answer, and the address of its next page or None."""

    content: Any
    next_page: str | None


def get_json(corpus: str, url: str, authorization: str = "") -> Answer:
    """Return the answer of an API.

    Raises:
        OfflineError: the server cannot be reached, or is temporarily unavailable.
        SourceError: it refuses the request, or the answer is not JSON or too large.
    """
    place = f"{corpus}: {http_client.without_query(url)}"
    headers = {"Accept": "application/json", **({"Authorization": authorization} if authorization else {})}
    limits = http_client.TransferLimits(timeout=_TIMEOUT, least=1, until=time.monotonic() + _LONGEST)
    content = bytearray()
    try:
        with http_client.open_url(url, "GET", headers, limits) as response:
            link = _NEXT.search(response.headers.get("Link") or "")
            while block := http_client.read_block(response, _BLOCK):
                content += block
                if len(content) > _LARGEST:
                    raise SourceError(f"{place}: the answer is larger than {_LARGEST:,} bytes")
    except http_client.RefusedError as error:
        kind = OfflineError if error.status in http_client.RETRYABLE else SourceError
        raise kind(f"{place}: {error}") from error
    except http_client.UntrustedError as error:
        raise SourceError(f"{place}: {error}") from error
    except (http_client.UnreachableError, http_client.InterruptedTransferError) as error:
        raise OfflineError(f"{place} cannot be reached ({error}); try again online") from error
    try:
        return Answer(json.loads(content), literal(link[1]) if link else None)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{place}: the answer is not JSON") from error
