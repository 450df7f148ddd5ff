"""Keep the placeholders of a text in its translation: split the text into chunks, and reassemble their translations."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Self

from seqloom.decoding.chunking import Chunk, is_verbatim, split_into_chunks
from seqloom.decoding.placeholder_repair import Locator, Part, complete, find, nest, repair, space, tidy
from seqloom.text import Forms, normalise
from seqloom.tokenization.tags import name_of


class TextPlan(NamedTuple):
    """A text in chunks. Chunks of only placeholders and punctuation are copied, the others are `translated`."""

    chunks: list[Chunk]
    copied: list[bool]
    placeholders: list[str]  # of the whole text, normalised
    spelled: list[str]  # the same placeholders in their original spelling
    prefix: str
    loose: frozenset[str]  # placeholders, except tags, that always have a space before them in the text

    @classmethod
    def make(cls, text: str, prefix: str, forms: Forms, at_once: int) -> Self:
        """Return the plan of a text with at most `at_once` placeholders per chunk."""
        normal = normalise(text)
        found = split_into_chunks(normal, forms, at_once)
        placeholders = [placeholder for chunk in found for placeholder in chunk.placeholders]
        spelled = placeholders
        if placeholders and normal != text:
            spelled = forms.find(text)
            if [normalise(each) for each in spelled] != placeholders:
                spelled = placeholders
        prefix = prefix if prefix.strip() else ""
        copied = [is_verbatim(chunk, forms) for chunk in found]
        copied[0] = copied[0] and not (prefix and normal)
        return cls(found, copied, placeholders, spelled, prefix, _loose(normal, forms))

    @property
    def translated(self) -> list[Chunk]:
        """The chunks that a model translates."""
        return [chunk for chunk, copied in zip(self.chunks, self.copied, strict=True) if not copied]

    @property
    def prefixes(self) -> list[str]:
        """The prefix of each translated chunk: the caller's for the first chunk, else empty."""
        return [self.prefix if chunk is self.chunks[0] else "" for chunk in self.translated]


class Target(NamedTuple):
    """The translation of a chunk, and where to put the placeholders that it lacks."""

    parts: list[Part]
    locate: Locator
    fixed: int = 0  # the number of characters of a forced prefix, within which nothing is inserted


class Assembled(NamedTuple):
    """A text, whether it has exactly the placeholders of its source, and how many were placed by attention."""

    text: str
    kept: bool
    placed: int


def assemble(plan: TextPlan, targets: Sequence[Target], forms: Forms) -> Assembled:
    """Assemble the `targets` of the translated chunks."""
    extra: list[str] = []
    if plan.prefix:
        extra = list((Counter(forms.find(normalise(plan.prefix))) - Counter(plan.placeholders)).elements())
    if extra and targets:
        extra = _given(targets[0].parts, extra, forms)  # the vocabulary may lack characters of the prefix
    wanted = [*plan.placeholders, *extra]
    if not wanted:  # most texts; the rest would do the same for them, but slowly
        words = [part for target in targets for part in target.parts if not part[1]]
        return Assembled(*repair(words, [], [], forms), 0)
    parts: list[Part] = []
    placed = 0
    following = iter(targets)
    for index, (chunk, copied) in enumerate(zip(plan.chunks, plan.copied, strict=True)):
        if copied:
            parts += find([(chunk.text, False)], chunk.placeholders, forms)
        else:
            target = next(following)
            expected = [*chunk.placeholders, *(extra if index == 0 else [])]
            completed, added = complete(find(target.parts, expected, forms), expected, target.locate, target.fixed)
            parts += completed
            placed += added
        parts.append((chunk.gap, False))
    parts = space(nest(tidy(parts), wanted), plan.loose)
    text, kept = repair(parts, wanted, [*plan.spelled, *extra], forms)
    return Assembled(text, kept and not extra, placed)


def _given(target: Sequence[Part], extra: Sequence[str], forms: Forms) -> list[str]:
    """Return the placeholders in `extra` that occur in the text of a target, with repeats."""
    text = "".join(text for text, is_placeholder in target if not is_placeholder)
    return list((Counter(forms.find(text)) & Counter(extra)).elements())


def _loose(text: str, forms: Forms) -> frozenset[str]:
    matches = [match for match in forms.regex.finditer(text) if match[0][0] not in "<&" and not name_of(match[0])[0]]
    glued = {match[0] for match in matches if match.start() and text[match.start() - 1] != " "}
    return frozenset(match[0] for match in matches) - glued


def keep_placeholders(source: str, target: str, forms: Forms) -> Assembled:
    """Return `target`, assembled from translated parts of `source`, with exactly the placeholders of `source`.

    White space is unchanged. Parts translated by a `Translator` already have their placeholders; this function mainly
    nests pairs of tags that span several parts.
    """
    wanted = forms.find(source)
    if not wanted:
        return Assembled(*repair([(target, False)], [], [], forms, normal=False), 0)
    starts = [match.start() for match in forms.regex.finditer(source)]
    parts, placed = complete(
        find([(target, False)], wanted, forms), wanted, lambda index: starts[index] / max(1, len(source))
    )
    text, kept = repair(nest(parts, wanted), wanted, wanted, forms, normal=False)
    return Assembled(text, kept, placed)
