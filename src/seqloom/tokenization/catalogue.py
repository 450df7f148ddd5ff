"""Train and load tokenizers by name."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from seqloom.errors import TokenizerError
from seqloom.progress import Listener, Progress
from seqloom.text import STANDARD_FORMS, Forms, normalise
from seqloom.tokenization.characters import CharacterVocabulary
from seqloom.tokenization.pretrained import PretrainedTokenizer
from seqloom.tokenization.sentencepiece import SentencePieceVocabulary
from seqloom.tokenization.settings import TokenizerSettings
from seqloom.tokenization.slots import find_slots, language_symbols, put_slots, slot_symbols
from seqloom.tokenization.tokenizer import PLACEHOLDERS_AT_ONCE, Tokenizer
from seqloom.tokenization.trained import DESCRIPTION, FORMAT, PlaceholderRules, TrainedTokenizer, Vocabulary, read_forms

VOCABULARIES: dict[str, type[SentencePieceVocabulary] | type[CharacterVocabulary]] = {
    vocabulary.name: vocabulary for vocabulary in (SentencePieceVocabulary, CharacterVocabulary)
}

Pairs = Callable[[], Iterable[tuple[str, str]]]

_REPORT_EVERY = 10_000  # pairs
_ENOUGH = 100  # pairs needed to learn a number of slots; this threshold gave the best chrF


def train_tokenizer(
    settings: TokenizerSettings,
    sources: Pairs,
    seed: int,
    listen: Listener,
    languages: Sequence[str] = (),
    forms: Forms = STANDARD_FORMS,
) -> Tokenizer:
    """Train the kind of tokenizer that `settings` selects.

    `sources` returns an iterable of pairs (source, target) at each call: the pairs are counted first, then read once
    per vocabulary, and never held in memory. If there are more than `settings.max_training_lines`, that many are
    sampled with `seed`. `languages` are the target languages; if there are several, each source starts with a symbol
    for its target language. `forms` defines what is a placeholder.

    Raises:
        TokenizerError: there is no text, or `settings.vocab_size` is too large or too small for it.
    """
    choices = list(languages) if len(languages) > 1 else []
    slots, of_source = slot_symbols(settings.slots), language_symbols(len(choices))
    if settings.vocab_size <= (taken := settings.reserved_pieces(len(choices))):
        raise TokenizerError(
            f"tokenizer.vocab_size ({settings.vocab_size}) leaves no room for {len(choices)} target languages: "
            f"{taken} pieces are reserved already"
        )
    total = sum(1 for _ in sources())
    drawn = None
    if total > settings.max_training_lines:
        drawn = frozenset(random.Random(seed).sample(range(total), settings.max_training_lines))

    counts: Counter[int] = Counter()  # pairs by number of distinct placeholders

    def lines(*sides: int) -> Iterator[str]:
        counts.clear()
        for done, pair in enumerate(sources()):
            if done % _REPORT_EVERY == 0:
                listen(Progress("read pairs", done, total, "pairs"))
            if drawn is None or done in drawn:
                source, target = map(normalise, pair)
                found = find_slots(source, settings.slots, forms)
                counts[len(found)] += 1
                texts = put_slots(source, found, forms), put_slots(target, found, forms)
                for side in sides:
                    yield texts[side]
        listen(Progress("read pairs", total, total, "pairs"))
        listen(Progress("learn pieces", 0, settings.vocab_size, "pieces"))  # the trainer reports no progress

    def train(symbols: Sequence[str], *sides: int) -> Vocabulary:
        vocabulary = VOCABULARIES[settings.name].train(lines(*sides), settings, symbols)
        listen(Progress("learn pieces", vocabulary.size, vocabulary.size, "pieces"))
        return vocabulary

    if settings.joint:
        source = target = train(slots + of_source, 0, 1)
    else:
        source, target = train(slots + of_source, 0), train(slots, 1)
    return TrainedTokenizer(source, target, settings.slots, choices, PlaceholderRules(forms, _at_once(counts)))


def _at_once(counts: Counter[int]) -> int:
    """Return the largest number of placeholders that at least `_ENOUGH` pairs have, so that a model can learn it."""
    seen = 0
    for number in sorted(counts, reverse=True):
        seen += counts[number]
        if number and seen >= _ENOUGH:
            return number
    return PLACEHOLDERS_AT_ONCE


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load what `Tokenizer.save` wrote.

    Raises:
        TokenizerError: a file is missing or damaged, or has a format that this version does not support.
    """
    description = _description(folder / DESCRIPTION)
    if description.get("name") == PretrainedTokenizer.name:
        return PretrainedTokenizer.load(folder, description)
    kind = VOCABULARIES.get(str(description.get("name")))
    if kind is None:
        known = ", ".join([*VOCABULARIES, PretrainedTokenizer.name])
        raise TokenizerError(f"{folder / DESCRIPTION}: name is {description.get('name')!r}; valid are {known}")
    try:
        slots, hashes = int(description["slots"]), dict(description["sha256"])
        names = ["joint.model"] if description["joint"] else ["source.model", "target.model"]
        vocabularies = [_load(kind, folder / name, str(hashes[name])) for name in names]
        rules = PlaceholderRules(read_forms(description), int(description.get("at_once", PLACEHOLDERS_AT_ONCE)))
        return TrainedTokenizer(vocabularies[0], vocabularies[-1], slots, _languages(description), rules)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise TokenizerError(f"{folder / DESCRIPTION}: does not describe a tokenizer ({error!r})") from error


def _languages(description: dict[str, Any]) -> list[str]:
    """Return the target languages. Raises `ValueError` if they are not a list of strings."""
    languages = description.get("languages", [])
    if not isinstance(languages, list) or not all(isinstance(language, str) for language in languages):
        raise ValueError(f"languages is {languages!r}")
    return languages


def _description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TokenizerError(f"{path}: cannot be read: {error}") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise TokenizerError(f"{path}: not a tokenizer of format {FORMAT}")
    return description


def _load(kind: type[SentencePieceVocabulary] | type[CharacterVocabulary], path: Path, sha256: str) -> Vocabulary:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TokenizerError(f"{path}: cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise TokenizerError(f"{path}: damaged: its hash is not the one in {DESCRIPTION}")
    try:
        return kind.from_bytes(content)
    except ValueError as error:
        raise TokenizerError(f"{path}: {error}") from error
