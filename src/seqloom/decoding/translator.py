"""Translate texts with a model, its tokenizer and a search method.

Sentences are decoded in batches of similar length, longest first, so that there is little padding and running out of
memory shows at once. The results are in the order of the texts and do not depend on the other texts in a batch (except
for rounding, since a batch's shape decides the order of sums). Each translation records whether it or its source was
cut.
"""

from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor

from seqloom.decoding.chunking import Chunk
from seqloom.decoding.constraints import Constraints
from seqloom.decoding.ensemble import Ensemble
from seqloom.decoding.hypotheses import Hypothesis
from seqloom.decoding.methods import METHODS, Batch, Engine, Model, batches, width
from seqloom.decoding.model_folder import Languages, check_same_tokenizer, read_folder
from seqloom.decoding.placeholder_repair import Locator, Part
from seqloom.decoding.placeholders import Target, TextPlan, assemble
from seqloom.decoding.required_slots import RequiredSlots
from seqloom.decoding.settings import SearchSettings
from seqloom.errors import ModelError
from seqloom.languages import Direction
from seqloom.progress import Listener, Progress, ignore
from seqloom.tokenization.slots import split_at_slots
from seqloom.tokenization.tokenizer import Tokenizer


class Translation(NamedTuple):
    """A translated text, and details about its search."""

    text: str
    score: float  # log-probability divided by the length penalty; for method mbr, the mean chrF against the samples
    log_probability: float  # the model's own, including EOS
    ids: list[int]  # including a forced prefix, without EOS
    cut: bool  # it has the maximal number of ids, so its end may be missing
    source_cut: bool  # the source was longer than the model can read and was truncated
    kept: bool = True  # it has exactly the placeholders of its source
    placed: int = 0  # placeholders that were placed by attention, because the model would have left them out


class Attention(NamedTuple):
    """The attention of each piece of a target to each piece of its source."""

    source: list[str]  # S pieces, as the encoder reads them
    target: list[str]  # T pieces, ending with EOS
    weights: Tensor  # (T, S) fp32; each row sums to one


class _Source(NamedTuple):
    ids: list[int]
    slots: tuple[str, ...]
    prefix: list[int]  # forced at the start of the target
    cut: bool
    required: RequiredSlots


class _Found(NamedTuple):
    hypothesis: Hypothesis
    cut: bool
    text_ids: list[int]  # the ids without the forced slots at the end


class Translator:
    """Translates texts with a model or an ensemble. `load` reads one from a folder.

    `engine` searches in place of the method that `search` names, and must give the same guarantees
    (`seqloom.export.loading` loads a translator with a faster one).
    """

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        search: SearchSettings,
        languages: Languages | Direction,
        device: torch.device | str = "auto",
        engine: Engine | None = None,
    ) -> None:
        self.device = pick_device(device)
        self.engine = engine
        if any(each.device != self.device for each in model.parameters()):  # a sharded model is there, and cannot move
            model.to(self.device)
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.search = search
        if isinstance(languages, Direction):
            languages = Languages((languages.source,), (languages.target,))
        self.languages = languages

    @classmethod
    def load(
        cls,
        folder: Path,
        device: torch.device | str = "auto",
        search: SearchSettings | None = None,
        others: Sequence[Path] = (),
    ) -> Self:
        """Load a folder that train_model or the registry wrote. `search` replaces the settings in search.json.

        The models in the folders `others` are added as an ensemble; the other files in them are ignored, but their
        tokenizers must be the same.

        Raises:
            ModelError: a folder has no model, an invalid one or another tokenizer, or the device does not exist.
            TokenizerError: a tokenizer cannot be loaded.
        """
        place = pick_device(device)
        model: Model
        model, tokenizer, stored, languages = read_folder(folder, place)
        if others:
            members = [model]
            for other in others:
                members.append(read_folder(other, place).model)
                check_same_tokenizer(folder, other)
            model = Ensemble(members)
        return cls(model, tokenizer, stored if search is None else search, languages, place)

    def translate(
        self,
        texts: Sequence[str],
        listen: Listener = ignore,
        language: str | None = None,
        prefixes: Sequence[str] | None = None,
    ) -> list[str]:
        """Return the best translation of each text, in order. An empty text gives an empty string.

        For the arguments and errors see `hypotheses`.
        """
        return [found[0].text for found in self.hypotheses(texts, 1, listen, language, prefixes)]

    def hypotheses(
        self,
        texts: Sequence[str],
        n_best: int = 1,
        listen: Listener = ignore,
        language: str | None = None,
        prefixes: Sequence[str] | None = None,
    ) -> list[list[Translation]]:
        """Return up to `n_best` translations of each text, best first; samples are in the order of drawing.

        A text may have any length; one that exceeds `search.batch_tokens` is a batch of its own. `language` is the
        target language, which a model with several needs. Each translation begins with its entry in `prefixes`, which
        may be empty; the text after it starts with a new piece, so a prefix should end at the end of a word.

        Raises:
            EvaluationError: the model returns invalid probabilities.
            ModelError: the model does not write `language`, or does not support `search.method`.
            ParamsError: `n_best` is more than `search` finds.
            TokenizerError: `language` is missing.
        """
        self._check(language)
        budget = self.search.batch_tokens // width(self.search, n_best)
        if self.engine is not None:
            budget *= self.engine.batches
        if prefixes is None:
            prefixes = [""] * len(texts)
        plans = [
            TextPlan.make(text, prefix, self.tokenizer.forms, self.tokenizer.placeholders_at_once)
            for text, prefix in zip(texts, prefixes, strict=True)
        ]
        sources = [
            self._encode(chunk.text, prefix, language, chunk.placeholders)
            for plan in plans
            for chunk, prefix in zip(plan.translated, plan.prefixes, strict=True)
        ]
        owner = [index for index, plan in enumerate(plans) for _ in plan.translated]
        left = Counter(index for index, source in zip(owner, sources, strict=True) if source.ids)
        nothing = [_Found(Hypothesis([], 0.0, 0.0), False, [])]
        found: list[list[_Found]] = [[] if source.ids else nothing for source in sources]
        done = len(texts) - len(left)
        listen(Progress("translate", done, len(texts), "sentences"))
        for batch in batches([len(each.ids) for each in sources], budget):
            for index, hypotheses in zip(batch, self._decode([sources[i] for i in batch], n_best), strict=True):
                found[index] = hypotheses
                left[owner[index]] -= 1
                done += not left[owner[index]]
            listen(Progress("translate", done, len(texts), "sentences"))
        ends = list(accumulate((len(plan.translated) for plan in plans), initial=0))
        return [
            self._assemble(plan, sources[start:end], found[start:end])
            for plan, start, end in zip(plans, ends, ends[1:], strict=False)
        ]

    @torch.inference_mode()
    def attention(self, text: str, target: str | Sequence[int] | None = None, language: str | None = None) -> Attention:
        """Return the attention of `target` to the source `text`.

        `target` is a text or the ids of a `Translation`, by default the best translation.

        Raises:
            ModelError: the model has no attention, or the text is empty.
        """
        source = self._encode(text, "", language)
        if not source.ids:
            raise ModelError("the text is empty, so there is no attention to show")
        if target is None:
            target = self.hypotheses([text], language=language)[0][0].ids
        elif isinstance(target, str):
            target = self.tokenizer.encode_target(target, source.slots, language)
        symbols = self.tokenizer.symbols
        pieces = self.tokenizer.target_pieces([*target, symbols.eos])
        return Attention(self.tokenizer.source_pieces(source.ids), pieces, self._attention(source.ids, target))

    @torch.inference_mode()
    def _attention(self, source: Sequence[int], target: Sequence[int]) -> Tensor:
        """Return the attention (T + 1, S), fp32, for each target id and EOS."""
        weights = self.model.attention(
            torch.tensor([source], device=self.device),
            torch.tensor([len(source)], device=self.device),
            torch.tensor([[self.tokenizer.symbols.bos, *target]], device=self.device),
        )
        return weights[0].float().cpu()

    def _check(self, language: str | None) -> None:
        written = list(dict.fromkeys(direction.target for direction in self.languages.directions))
        if language is not None and language not in written:
            raise ModelError(f"the model does not write {language!r}; it writes {', '.join(written)}")

    def _encode(self, text: str, prefix: str, language: str | None, placeholders: Sequence[str] = ()) -> _Source:
        ids, slots = self.tokenizer.encode_source(text, language)
        required = RequiredSlots.of(placeholders, slots)
        forced = self.tokenizer.prefix(language)
        if prefix.strip():
            forced = self.tokenizer.encode_target(prefix, slots, language)  # starts with the tokenizer's prefix
        most = getattr(self.model, "max_source_length", None)
        if most is None or len(ids) <= most:
            return _Source(ids, slots, forced, False, required)
        # Keep the last id, which may be an end-of-text symbol.
        return _Source([*ids[: most - 1], ids[-1]], slots, forced, True, required)

    @torch.inference_mode()
    def _decode(self, sources: list[_Source], n_best: int) -> list[list[_Found]]:
        """Return the hypotheses of each source of a batch."""
        search, symbols = self.search, self.tokenizer.symbols
        lengths = torch.tensor([len(each.ids) for each in sources])
        padded = torch.full((len(sources), int(lengths.max())), symbols.pad)
        for row, each in zip(padded, sources, strict=True):
            row[: len(each.ids)] = torch.tensor(each.ids)
        least = (lengths * search.min_length_ratio).long() + search.min_length_extra
        most = (lengths * search.max_length_ratio).long() + search.max_length_extra
        needed = [len(each.prefix) + each.required.total if each.required.total else 0 for each in sources]
        most = torch.maximum(most, torch.tensor(needed))  # leave room for every slot
        if (positions := getattr(self.model, "max_target_length", None)) is not None:
            most = most.clamp(max=positions - 1)  # one position is for BOS
        rules = Constraints.build(
            symbols,
            most.to(self.device),
            min_lengths=torch.minimum(least, most).to(self.device),
            prefixes=[each.prefix for each in sources],
            no_repeat_ngram=search.no_repeat_ngram,
        ).extended(self.tokenizer.non_text_ids, [each.required for each in sources])
        batch = Batch(padded.to(self.device), lengths.to(self.device), rules)

        def write(source: int, ids: Sequence[int]) -> str:
            return self.tokenizer.decode(ids, sources[source].slots)

        method = METHODS[search.method] if self.engine is None else self.engine
        found = method(self.model, batch, search, n_best, write)
        return [
            [
                _Found(
                    hypothesis, len(hypothesis.ids) >= limit, self._without_forced_end(index, source, hypothesis, rules)
                )
                for hypothesis in hypotheses
            ]
            for index, (source, limit, hypotheses) in enumerate(zip(sources, most.tolist(), found, strict=True))
        ]

    def _without_forced_end(self, index: int, source: _Source, hypothesis: Hypothesis, rules: Constraints) -> list[int]:
        """Return the ids before the first forced slot, or all ids if the model wrote more words after that slot."""
        ids = hypothesis.ids
        if rules.slots is None:
            return ids
        end = rules.slots.before_forced(index, ids, len(source.prefix))
        rest = split_at_slots(self.tokenizer.spell(ids[end:]), ())
        return ids if any(character.isalnum() for text, _ in rest for character in text) else ids[:end]

    def _assemble(
        self, plan: TextPlan, sources: Sequence[_Source], found: Sequence[Sequence[_Found]]
    ) -> list[Translation]:
        """Return the translations of a text; the k-th best consists of the k-th best of each chunk."""
        translations = []
        forms = self.tokenizer.forms
        for best in zip(*found, strict=False) if found else [()]:
            targets = []
            for chunk, source, each in zip(plan.translated, sources, best, strict=True):
                prefix = self._parts(source, each.text_ids[: len(source.prefix)])
                fixed = sum(len(text) for text, _ in prefix)
                parts = self._parts(source, each.text_ids)
                targets.append(Target(parts, self._locator(chunk, source, each.text_ids), fixed))
            text, kept, placed = assemble(plan, targets, forms)
            hypotheses = [each.hypothesis for each in best]
            translations.append(
                Translation(
                    text,
                    sum(each.score for each in hypotheses) / max(1, len(hypotheses)),
                    sum((each.log_probability for each in hypotheses), start=0.0),
                    [index for each in hypotheses for index in each.ids],
                    any(each.cut for each in best),
                    any(source.cut for source in sources),
                    kept,
                    placed,
                )
            )
        return translations

    def _parts(self, source: _Source, ids: list[int]) -> list[Part]:
        return split_at_slots(self.tokenizer.spell(ids), source.slots) if ids else []

    def _locator(self, chunk: Chunk, source: _Source, ids: list[int]) -> Locator:
        """Return a function that positions the placeholders of a chunk in its target.

        The position is that of the target piece with most attention to the placeholder, or, without attention, the
        placeholder's relative position in the source.
        """

        @cache
        def seen() -> Tensor | None:
            with suppress(ModelError):  # the network has no attention
                return self._attention(source.ids, ids) if ids else None
            return None

        def locate(index: int) -> float:
            starts = [match.start() for match in self.tokenizer.forms.regex.finditer(chunk.text)]
            weights = seen()
            if weights is None:
                return starts[index] / max(1, len(chunk.text) - len(chunk.placeholders[index]))
            at = _piece_at(self.tokenizer.source_pieces(source.ids), starts[index] / len(chunk.text))
            ends = list(accumulate(map(len, self.tokenizer.target_pieces(ids)), initial=0))
            return ends[min(int(weights[:, at].argmax()), len(ids))] / max(1, ends[-1])

        return locate


def _piece_at(pieces: Sequence[str], share: float) -> int:
    """Return the index of the piece at the given share of all characters."""
    ends = list(accumulate(map(len, pieces)))
    return min(bisect(ends, share * ends[-1]), len(pieces) - 1)


def pick_device(device: torch.device | str) -> torch.device:
    """Return the named device; "auto" is a GPU if there is one. Raises `ModelError` if it does not exist."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ModelError(f"{device!r} is not a device; valid are auto, cpu and cuda") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"device {str(device)!r} does not exist: torch finds no GPU; use auto or cpu")
    return place
