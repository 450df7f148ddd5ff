import random

import pytest

from seqloom.evaluation.segments import Segments
from seqloom.evaluation.settings import EvaluateSettings
from seqloom.languages import Direction

EN_DE = Direction("en", "de")
WORDS = ["the", "a", "of", "light", "switch", "turn", "on", "off", "is", "device", "add", "{name}", "<b>x</b>", "%s"]


@pytest.fixture
def settings() -> EvaluateSettings:
    return EvaluateSettings(bootstrap=100, seed=7, length_buckets=[3, 6], examples=2)


@pytest.fixture
def segments() -> Segments:
    """120 segments of 1 to 12 words with random errors, some with placeholders."""
    draw = random.Random(1)

    def noisy(text: str) -> str:
        return " ".join(word if draw.random() > 0.3 else draw.choice(WORDS) for word in text.split())

    sources = [" ".join(draw.choices(WORDS, k=draw.randint(1, 12))) for _ in range(120)]
    references = [noisy(source) for source in sources]
    return Segments(sources, references, [noisy(reference) for reference in references], [EN_DE] * 120)
