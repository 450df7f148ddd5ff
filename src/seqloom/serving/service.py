"""What a protocol needs from the models: the contract between the HTTP side and the side that translates.

Protocols (`libretranslate`, `deepl`, `scoring`, `page`) turn requests into a `Query` and an `Answer` into a response.
They know no model, and a `Service` knows no HTTP. This module imports nothing heavy.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from seqloom.languages import Direction
from seqloom.translation.results import Result


class Query(NamedTuple):
    """Texts to translate in one direction."""

    texts: tuple[str, ...]
    direction: Direction
    n_best: int = 1  # translations wanted of each text
    client: str = ""  # who asks, from `Access.admit`; capacity is shared fairly between clients
    version: str = ""  # one of `Service.served`, to compare versions; empty: the one for this direction


class Answer(NamedTuple):
    """The translations of a `Query`."""

    results: list[list[Result]]  # for each text up to `n_best` distinct translations, at least one, best first
    version: str  # such as `seqloom-en-de/3`, or the name of the model's folder


class Detected(NamedTuple):
    """A language that a text may be in."""

    language: str  # one of the served languages
    confidence: float  # 0 to 1


class Served(NamedTuple):
    """A model that is being served."""

    name: str  # the registered name, or the folder's
    version: str  # as in `Answer`
    directions: tuple[Direction, ...]
    scores: Mapping[str, float]  # by name: bleu, chrf; empty if not recorded
    since: str  # ISO 8601, UTC: when it began to serve


class Drift(NamedTuple):
    """How far the texts that a model gets are from those that it was trained on."""

    name: str  # of the model
    version: str  # as in `Answer`
    texts: int  # that were compared
    indices: Mapping[str, float]  # population stability index by feature; empty until there are enough texts
    drifted: bool  # an index was above the bound for long enough
    reason: str = ""  # why nothing is compared; empty if it is


class Picture(NamedTuple):
    """The attention of each piece of a translation to each piece of its text."""

    source: list[str]  # S pieces, as the model reads them; a space is U+2581
    target: list[str]  # T pieces, ending with the end of the text
    weights: list[list[float]]  # T rows of S shares; each row sums to one


class Seen(NamedTuple):
    """A picture, and the version whose attention it is."""

    picture: Picture
    version: str  # as in `Answer`


class Limits(NamedTuple):
    """The largest request."""

    characters: int  # in all texts of a request together
    texts: int  # per request
    alternatives: int  # additional translations of each text


class Service(Protocol):
    """Translates and detects languages."""

    @property
    def limits(self) -> Limits:
        """The largest request; `translate` refuses others."""

    def directions(self) -> list[Direction]:
        """Return the directions served now, sorted."""

    def served(self) -> list[Served]:
        """Return the models served now, sorted by name."""

    def detect(self, text: str) -> list[Detected]:
        """Return every served language, source or target, most likely first; never empty."""

    def drift(self) -> list[Drift]:
        """Return the drift of each model, sorted by name."""

    async def attention(self, query: Query, translation: str) -> Seen:
        """Return how a model attends to the only text of a query while it writes that translation.

        Raises:
            DirectionError: no model that is served translates in that direction.
            TooLongError: the text or the translation is too long for a picture.
            BusyError: other pictures are being made.
            RequestError: the model has no attention, or the text is empty.
        """

    async def translate(self, query: Query) -> Answer:
        """Translate. If the awaiting task is cancelled, texts that are still waiting are dropped.

        Raises:
            DirectionError: no model that is served translates in that direction.
            TooLongError: the query exceeds `limits`.
            BusyError: the queue is full.
            SeqloomError: the model cannot translate.
        """
