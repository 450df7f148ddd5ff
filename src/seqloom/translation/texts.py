"""Translate texts of any length and form, sentence by sentence; all white space is kept.

These rules apply to a text, in this order:

1. The text is split at line breaks and tabs, then into sentences and, if a sentence is longer than any in training, at
   clause marks (`segmenting`). White space between the parts is kept as it is.
2. URLs, e-mail addresses, emoji and scripts unknown to the model are copied, and so is a sentence that holds nothing
   else. The marks of lists and headings stay at the front (`copying`).
3. ALL CAPITALS and Title Case are translated in ordinary case (`casing`).
4. A translation that repeats itself is translated again with repetitions blocked (`looping`).
5. Each placeholder occurs in the translation exactly as often as in the text, and tags nest (`decoding.placeholders`).

If source and target are the same language, as in summarisation, the model gets the whole text, and no rule applies.

Equal sentences are translated only once. Memory and time are linear in the length of the texts.
"""

import copy
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import torch

from seqloom.decoding.model_folder import Languages, read_longest_source
from seqloom.decoding.placeholders import keep_placeholders
from seqloom.decoding.settings import SearchSettings
from seqloom.decoding.translator import Translation, Translator
from seqloom.export.loading import load_translator
from seqloom.export.settings import Engine
from seqloom.languages import Direction
from seqloom.progress import Listener, Progress, ignore
from seqloom.text import Forms
from seqloom.translation.casing import Case, CaseRules
from seqloom.translation.copying import Copied, CopyRules, fixed_parts, has_content, lead
from seqloom.translation.looping import loops
from seqloom.translation.results import Flag, Result
from seqloom.translation.segmenting import Segment, Span, split_clauses, split_text

DEFAULT_LONGEST = 128
"""The assumed length, in tokens, of the longest source in training, if the model folder does not record it."""
LOW_CONFIDENCE = 0.3
"""A text gets `Flag.LOW_CONFIDENCE` if a sentence's mean token probability is below this."""
CHUNK = 2048  # sentences that are passed to the translator together
BLOCKED = (3, 2)  # no_repeat_ngram of the first and of the second retry of a translation that loops

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff]")
_BYTE_PIECE = re.compile(r"<0x[0-9A-F]{2}>")
_WITHOUT_SPACES = ("zh", "ja", "th", "lo", "my", "km", "bo", "yue", "wuu")
_JOINED = re.compile(r"[\u3001-\u30ff\u3400-\u9fff\uff01-\uff60]$")  # scripts without spaces between sentences


class _Request(NamedTuple):
    """Input of the model."""

    text: str
    prefix: str


@dataclass(frozen=True)
class _Part:
    """A part of a text. It is translated, or copied if `request` is None."""

    source: str
    gap: str
    request: _Request | None = None
    lead: str = ""
    copied: Copied | None = None
    case: Case = Case.ORDINARY
    split: bool = False


class _Found(NamedTuple):
    """The model's translations of a request."""

    best: list[Translation]
    looped: bool = False  # the first attempt repeated itself
    loops: bool = False  # so did all attempts with repetitions blocked


@dataclass
class _Draft:
    """A translation while it is assembled from its parts."""

    text: list[str] = field(default_factory=list)
    flags: set[Flag] = field(default_factory=set)
    log_probability: float = 0.0
    tokens: int = 0
    score: float = 0.0
    cut: bool = False
    source_cut: bool = False

    def copy(self, part: _Part) -> None:
        """Add a part that is copied."""
        self.text.append(part.source)
        if has_content(part.source):
            self.flags.add(Flag.COPIED)
        if part.split:
            self.flags.add(Flag.SPLIT)

    def keep_placeholders(self, source: str, forms: Forms) -> None:
        """Nest tags that span several sentences, and make sure that the text has every placeholder."""
        whole = keep_placeholders(source, "".join(self.text), forms)
        self.text = [whole.text]
        self.flags.discard(Flag.PLACEHOLDERS)
        if not whole.kept:
            self.flags.add(Flag.PLACEHOLDERS)

    def result(self) -> Result:
        """Return the translation."""
        confidence = math.exp(self.log_probability / self.tokens) if self.tokens else None
        if self.cut or self.source_cut:
            self.flags.add(Flag.CUT)
        flags = tuple(flag for flag in Flag if flag in self.flags)
        return Result("".join(self.text), flags, confidence, self.score, self.cut, self.source_cut)


class TextTranslator:
    """Translates texts of any length with a `Translator`, which translates sentences.

    `longest` is the length of the longest source in training, in tokens.
    """

    def __init__(self, translator: Translator, longest: int | None = None) -> None:
        self.translator = translator
        limits = [DEFAULT_LONGEST if longest is None else longest]
        if (most := getattr(translator.model, "max_source_length", None)) is not None:
            limits.append(most)
        self.longest = min(limits)
        self._rules: dict[str | None, _Rules] = {}

    @classmethod
    def load(
        cls,
        folder: Path,
        device: torch.device | str = "auto",
        search: SearchSettings | None = None,
        others: Sequence[Path] = (),
        engine: Engine = "torch",
    ) -> Self:
        """Load a model folder, or an ensemble: see `load_translator`, whose engine "auto" is the fastest."""
        return cls(load_translator(folder, device, search, others, engine), read_longest_source(folder))

    @property
    def languages(self) -> Languages:
        """The source and target languages of the model."""
        return self.translator.languages

    @property
    def search(self) -> SearchSettings:
        """The settings of the search."""
        return self.translator.search

    def with_search(self, search: SearchSettings) -> Self:
        """Return a translator with the same model and other search settings."""
        if search == self.search:
            return self
        other = copy.copy(self)
        other.translator = _with_search(self.translator, search)
        return other

    def translate(
        self,
        texts: Sequence[str],
        listen: Listener = ignore,
        language: str | None = None,
        prefixes: Sequence[str] | None = None,
    ) -> list[Result]:
        """Return the best translation of each text, in order. For arguments and errors, see `hypotheses`."""
        return [found[0] for found in self.hypotheses(texts, 1, listen, language, prefixes)]

    def hypotheses(
        self,
        texts: Sequence[str],
        n_best: int = 1,
        listen: Listener = ignore,
        language: str | None = None,
        prefixes: Sequence[str] | None = None,
    ) -> list[list[Result]]:
        """Return up to `n_best` translations of each text, best first, in the order of the texts.

        The second translation of a text combines the second-best translations of its sentences, and so on. White space
        around a text is kept. The translation of the first sentence begins with the text's prefix. Raises the same
        errors as `Translator.hypotheses`.
        """
        prefixes = [""] * len(texts) if prefixes is None else prefixes
        self.translator.hypotheses([], n_best, ignore, language, [])  # raises now if an argument is wrong
        rules = self._rules_of(language)
        plans = [list(rules.parts(text, prefix)) for text, prefix in zip(texts, prefixes, strict=True)]
        wanted = dict.fromkeys(part.request for plan in plans for part in plan if part.request is not None)
        found = self._decode(list(wanted), n_best, listen, language, check=not rules.whole)
        return [
            list(rules.assembled(text, prefix, plan, found))
            for text, prefix, plan in zip(texts, prefixes, plans, strict=True)
        ]

    def _rules_of(self, language: str | None) -> "_Rules":
        if language not in self._rules:
            self._rules[language] = _Rules(self.translator, self.longest, language)
        return self._rules[language]

    def _decode(
        self, requests: Sequence[_Request], n_best: int, listen: Listener, language: str | None, *, check: bool
    ) -> dict[_Request, _Found]:
        """Translate the requests. If `check`, translate those that loop again."""
        found: dict[_Request, _Found] = {}
        total = len(requests)
        for start in range(0, total, CHUNK):
            chunk = requests[start : start + CHUNK]

            def report(progress: Progress, start: int = start) -> None:
                listen(progress._replace(done=start + progress.done, total=total))

            for request, best in zip(
                chunk, self._hypotheses(self.translator, chunk, n_best, report, language), strict=True
            ):
                found[request] = _Found(best)
            if check:
                found |= self._again({request: found[request] for request in chunk}, n_best, language)
        return found

    def _again(self, found: dict[_Request, _Found], n_best: int, language: str | None) -> dict[_Request, _Found]:
        """Translate requests whose translations loop again, blocking shorter and shorter repeated n-grams."""
        looping = [request for request, each in found.items() if loops(request.text, each.best[0].text)]
        better = {request: _Found(found[request].best, looped=True, loops=True) for request in looping}
        for size in BLOCKED:
            if not looping:
                break
            search = self.search.model_copy(update={"no_repeat_ngram": size})
            blocking = _with_search(self.translator, search)
            tried = self._hypotheses(blocking, looping, n_best, ignore, language)
            for request, best in zip(looping, tried, strict=True):
                text, before = best[0].text, better[request].best[0].text
                still = not text or loops(request.text, text)
                if text and (not still or len(text) < len(before)):
                    better[request] = _Found(best, looped=True, loops=still)
            looping = [request for request in looping if better[request].loops]
        return better

    @staticmethod
    def _hypotheses(
        translator: Translator, requests: Sequence[_Request], n_best: int, listen: Listener, language: str | None
    ) -> list[list[Translation]]:
        texts = [request.text for request in requests]
        return translator.hypotheses(texts, n_best, listen, language, [request.prefix for request in requests])


class _Rules:
    """Splits texts of one direction into parts, and assembles their translations."""

    def __init__(self, translator: Translator, longest: int, language: str | None) -> None:
        self._tokenizer, self._language, self._longest = translator.tokenizer, language, longest
        sources = translator.languages.sources
        targets = translator.languages.targets
        target = language or (targets[0] if len(targets) == 1 else "")
        self.whole = list(translator.languages.directions) == [Direction(target, target)]
        self._source, written = _base(sources[0] if len(sources) == 1 else ""), _base(target)
        self._spaced = written not in _WITHOUT_SPACES
        self._copying = CopyRules(self._in_vocabulary, self._tokenizer.forms)
        self._casing = CaseRules(self._count, self._source, written, self._tokenizer.forms)

    def parts(self, text: str, prefix: str) -> Iterator[_Part]:
        """Yield the parts of a text in order."""
        if self.whole:
            yield _Part(text, "", _Request(text, prefix) if text.strip() else None)
            return
        text = _CONTROL.sub("", text)
        fixed = [(part.start, part.end) for part in fixed_parts(text, self._tokenizer.forms)]
        for segment in split_text(text, self._source, fixed):
            yield from self._sentence(segment, prefix)
            if segment.text:
                prefix = ""

    def _sentence(self, segment: Segment, prefix: str) -> Iterator[_Part]:
        """Yield the parts of a sentence: one, unless the sentence is too long."""
        first = 0 if prefix.strip() else lead(segment.text)
        mark, sentence = segment.text[:first], segment.text[first:]
        copied = self._copying.apply(sentence)
        if not sentence or (copied.empty and not prefix.strip()):
            yield _Part(segment.text, segment.gap)
            return
        if self._fits(copied.text):
            yield self._part(segment._replace(text=sentence), mark, copied, prefix)
            return
        fixed: list[Span] = [(part.start, part.end) for part in fixed_parts(sentence, self._tokenizer.forms)]
        pieces = split_clauses(sentence, self._longest, self._count, fixed)
        pieces[-1] = pieces[-1]._replace(gap=pieces[-1].gap + segment.gap)
        for piece in pieces:
            copied = self._copying.apply(piece.text)
            if copied.empty and not prefix.strip():
                yield _Part(mark + piece.text, piece.gap, split=True)
            else:
                yield self._part(piece._replace(forced=True), mark, copied, prefix)
            mark = prefix = ""

    def _part(self, segment: Segment, mark: str, copied: Copied, prefix: str) -> _Part:
        text, case = copied.text, Case.ORDINARY
        if not prefix.strip():  # the case of a prefix would have to change, too
            text, case = self._casing.ordinary(text)
        return _Part(segment.text, segment.gap, _Request(text, prefix), mark, copied, case, segment.forced)

    def _fits(self, text: str) -> bool:
        """Return whether the text is short enough for the model.

        Counting bytes is faster than counting tokens, and a text hardly has more tokens than bytes.
        """
        return len(text.encode()) + 2 <= self._longest or self._count(text) <= self._longest

    def _count(self, text: str) -> int:
        return len(self._tokenizer.encode_source(text, self._language).ids)

    def _in_vocabulary(self, character: str) -> bool:
        """Return whether the source vocabulary has a piece for the character."""
        ids = self._tokenizer.encode_source(character, self._language).ids
        pieces = self._tokenizer.source_pieces(ids)
        return self._tokenizer.symbols.unk not in ids and not any(map(_BYTE_PIECE.fullmatch, pieces))

    def assembled(
        self, text: str, prefix: str, plan: Sequence[_Part], found: dict[_Request, _Found]
    ) -> Iterator[Result]:
        """Yield the translations of a text, assembled from those of its parts, best first."""
        source, forms = _CONTROL.sub("", text), self._tokenizer.forms
        keeping = not self.whole and not forms.find(prefix)  # placeholders in the prefix may not be in the source
        requests = [part.request for part in plan if part.request is not None]
        for rank in range(max((len(found[request].best) for request in requests), default=1)):
            draft = _Draft()
            for part in plan:
                if part.request is None:
                    draft.copy(part)
                else:
                    self._add(draft, part, found[part.request], rank)
                draft.text.append(part.gap)
                if not part.gap and self._spaced and part is not plan[-1] and _JOINED.search(part.source):
                    draft.text.append(" ")
            if keeping:
                draft.keep_placeholders(source, forms)
            yield draft.result()

    def _add(self, draft: _Draft, part: _Part, found: _Found, rank: int) -> None:
        """Add the translation of a part to the draft."""
        best = found.best[min(rank, len(found.best) - 1)]
        text, right = self._casing.recase(best.text, part.case), True
        if part.copied is not None and part.copied.parts:
            text, right = part.copied.restore(text)
            draft.flags.add(Flag.COPIED)
        draft.text.append(part.lead + text)
        tokens = len(best.ids) + 1
        sure = math.exp(best.log_probability / tokens) >= LOW_CONFIDENCE and bool(best.text)
        if not (sure and right) or found.loops:
            draft.flags.add(Flag.LOW_CONFIDENCE)
        if found.looped:
            draft.flags.add(Flag.LOOPED)
        if not best.kept:
            draft.flags.add(Flag.PLACEHOLDERS)
        if part.split:
            draft.flags.add(Flag.SPLIT)
        draft.log_probability += best.log_probability
        draft.tokens += tokens
        draft.score += best.score
        draft.cut = draft.cut or best.cut
        draft.source_cut = draft.source_cut or best.source_cut


def _base(language: str) -> str:
    """Return a language code without its script and region: `pt` for `pt-BR`."""
    return language.replace("_", "-").partition("-")[0].lower()


def _with_search(translator: Translator, search: SearchSettings) -> Translator:
    other = copy.copy(translator)
    other.search = search
    return other
