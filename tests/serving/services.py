"""A service without a model, for tests of protocols: it translates to capitals."""

import asyncio
import re
from dataclasses import dataclass, field

from seqloom.errors import DirectionError, SeqloomError
from seqloom.languages import Direction
from seqloom.serving.service import Answer, Detected, Drift, Limits, Picture, Query, Seen, Served
from seqloom.translation.results import Result

EN_DE, DE_EN = Direction("en", "de"), Direction("de", "en")


@dataclass
class FakeService:
    """Answers `HELLO` for `hello`, and for the k-th alternative `HELLO (k)`; raises `fault` if there is one."""

    fault: Exception | None = None
    limits: Limits = field(default=Limits(characters=1000, texts=20, alternatives=3))
    version: str = "seqloom-en-de/3"
    queries: list[Query] = field(default_factory=list)

    def directions(self) -> list[Direction]:
        return [DE_EN, EN_DE]

    def served(self) -> list[Served]:
        return [Served("seqloom-en-de", self.version, (DE_EN, EN_DE), {"bleu": 29.6}, "2026-11-29T12:00:00+00:00")]

    def detect(self, text: str) -> list[Detected]:
        german = "ü" in text or "ist" in text
        likely, other = ("de", "en") if german else ("en", "de")
        return [Detected(likely, 0.75), Detected(other, 0.25)]

    def drift(self) -> list[Drift]:
        return [Drift("seqloom-en-de", self.version, 2000, {"characters": 0.31, "pieces": 0.02}, drifted=True)]

    async def attention(self, query: Query, translation: str) -> Seen:
        if self.fault is not None:
            raise self.fault
        source, target = [[f"\u2581{word}" for word in each.split()] for each in (query.texts[0], translation)]
        target.append("</s>")
        last = len(source) - 1
        rows = [[float(at == min(row, last)) for at in range(len(source))] for row in range(len(target))]
        return Seen(Picture(source, target, rows), self.version)

    async def translate(self, query: Query) -> Answer:
        await asyncio.sleep(0)
        self.queries.append(query)
        if self.fault is not None:
            raise self.fault
        if query.direction not in self.directions():
            raise DirectionError(f"{query.direction} is not served; served are de-en, en-de")
        return Answer([_results(text, query.n_best) for text in query.texts], self.version)


def _results(text: str, n_best: int) -> list[Result]:
    capitals = re.sub(r"[^<>]+(?![^<>]*>)", lambda match: match[0].upper(), text)  # leaves tags alone
    return [Result(capitals, confidence=0.8), *(Result(f"{capitals} ({rank})") for rank in range(1, n_best))]


def failing(fault: SeqloomError) -> FakeService:
    """Return a service whose `translate` raises."""
    return FakeService(fault)
