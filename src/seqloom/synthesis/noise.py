"""Changes to the synthetic side of a pair: noise and a tag. A text's result depends only on the text and the settings.

Noise makes a back-translated source harder to read, so that the model learns more from the pair (Edunov et al. 2018,
section 3: words are deleted, replaced by a filler, and moved by at most three positions). A tag tells the model which
sources are synthetic (Caswell et al. 2019).
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Annotated

from pydantic import Field

from seqloom.settings import Settings
from seqloom.text import STANDARD_FORMS, Forms

_Share = Annotated[float, Field(ge=0, lt=1)]


class NoiseSettings(Settings):
    """Noise on a synthetic source (Edunov et al. 2018, section 3). Placeholders are never changed, only moved."""

    delete: _Share = 0.0  # share of words that are deleted; the paper uses 0.1
    replace: _Share = 0.0  # share of the other words that are replaced by `filler`; the paper uses 0.1
    filler: Annotated[str, Field(pattern=r"^\S+$")] = "\u2423"  # stands for a replaced word
    permute: Annotated[int, Field(ge=0, le=100)] = 0  # a word moves by at most this many positions; the paper uses 3

    @property
    def is_on(self) -> bool:
        """Whether texts change."""
        return bool(self.delete or self.replace or self.permute)


@dataclass(frozen=True)
class Alteration:
    """Adds noise and a tag to a source text; picklable."""

    noise: NoiseSettings = field(default_factory=NoiseSettings)
    tag: str | None = None

    def __call__(self, source: str, forms: Forms = STANDARD_FORMS) -> str:
        """Return the changed text; placeholders of `forms` are neither deleted nor replaced."""
        changed = add_noise(source, self.noise, forms) if self.noise.is_on else source
        return changed if self.tag is None else f"{self.tag} {changed}"


def add_noise(text: str, noise: NoiseSettings, forms: Forms = STANDARD_FORMS) -> str:
    """Return the text with noise; a text whose words would all be deleted stays as it is."""
    draw = random.Random(blake2b(text.encode(), digest_size=8).digest())
    kept = []
    for word in _words(forms).findall(text):
        fixed = forms.regex.search(word) is not None
        deleted, replaced = draw.random() < noise.delete, draw.random() < noise.replace
        if fixed or not (deleted or replaced):
            kept.append(word)
        elif not deleted:
            kept.append(noise.filler)
    if not kept:
        return text
    return " ".join(_permuted(kept, noise.permute, draw))


def _permuted(words: Sequence[str], most: int, draw: random.Random) -> list[str]:
    """Return the words, each at most `most` positions from its own (Lample et al. 2018, section 2.3)."""
    keys = [position + draw.random() * (most + 1) for position in range(len(words))] if most else range(len(words))
    return [word for _, word in sorted(zip(keys, words, strict=True), key=lambda each: each[0])]


@lru_cache
def _words(forms: Forms) -> re.Pattern[str]:
    """Words between white space; a placeholder with spaces, such as a tag with attributes, belongs to one word."""
    return re.compile(f"(?:{forms.regex.pattern}|\\S)+")
