"""What validations translate, and what a translation of it is worth."""

from collections.abc import Callable, Mapping, Sequence
from statistics import mean

from seqloom import places
from seqloom.corpus import splits
from seqloom.decoding.settings import SearchSettings
from seqloom.decoding.translator import Translator
from seqloom.errors import CorpusError
from seqloom.evaluation.metrics import corpus_bleu
from seqloom.languages import Direction
from seqloom.training.settings import ValidationSearch


def search_settings(settings: ValidationSearch) -> SearchSettings:
    """Return the search that validations use: beam search with the settings of `train.validation_search`."""
    return SearchSettings(
        **settings.model_dump(), method="beam", normalization="wu", early_stopping=False, min_length_ratio=0.0,
        temperature=1.0, top_k=None, top_p=1.0, samples=2, seed=0,
    )  # fmt: skip


def validation_segments(directions: list[Direction], most: int) -> dict[Direction, list[splits.Pair]]:
    """The first pairs of each direction in the validation split, as many of each one, about `most` in all.

    Raises:
        CorpusError: a direction has none.
    """
    file = places.CORPUS / splits.Split.valid.file_name
    share = max(1, most // len(directions))
    named = {str(direction): direction for direction in directions}
    found: dict[Direction, list[splits.Pair]] = {direction: [] for direction in directions}
    for pair in splits.read_split(file):
        if (direction := named.get(pair.direction)) is not None and len(found[direction]) < share:
            found[direction].append(pair)
    if empty := [str(direction) for direction, pairs in found.items() if not pairs]:
        raise CorpusError(
            f"{file}: has no pair of {', '.join(empty)} to validate with; raise prepare.split.valid, or leave the "
            "language out of languages"
        )
    return found


Translated = Mapping[Direction, tuple[Sequence[splits.Pair], Sequence[str]]]


def validation_bleu(
    translator: Translator, segments: dict[Direction, list[splits.Pair]], show: Callable[[Translated], None]
) -> float:
    """BLEU of detokenised text against one reference, counted as the test's is; the mean over the directions.

    It picks the best checkpoint in every task, those with ROUGE included, so that curves of all runs compare. `show`
    sees the translations.
    """
    translated = {
        direction: (pairs, translator.translate([pair.source for pair in pairs], language=direction.target))
        for direction, pairs in segments.items()
    }
    show(translated)
    return mean(
        corpus_bleu(texts, [pair.target for pair in pairs], direction.target)
        for direction, (pairs, texts) in translated.items()
    )
