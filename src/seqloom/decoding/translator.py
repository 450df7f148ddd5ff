"""Text in, text out: a model, its tokenizer and a search together. It knows no corpus and no scores.

Sentences are decoded in batches of similar length, longest first, so that little is padding and a lack of memory shows
at once. The result keeps the order of the texts, and does not depend on what else is in a batch (up to the rounding of
sums whose order a batch's shape decides). Nothing is cut in silence: each translation says whether it, or its source,
was.
"""

from bisect import bisect
from collections import Counter
from collections.abc import Iterator, Sequence
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
from seqloom.decoding.methods import METHODS, Batch, Model, width
from seqloom.decoding.model_folder import Languages, check_same_tokenizer, read_folder
from seqloom.decoding.placeholder_repair import Locator
from seqloom.decoding.placeholders import TextPlan, assemble
from seqloom.decoding.required_slots import RequiredSlots
from seqloom.decoding.settings import SearchSettings
from seqloom.errors import ModelError
from seqloom.languages import Direction
from seqloom.progress import Listener, Progress, ignore
from seqloom.tokenization.slots import split_at_slots
from seqloom.tokenization.tokenizer import Tokenizer


class Translation(NamedTuple):
    """A text in the target language, and how it was found."""

    text: str
    score: float  # what ranks it: log-probability over length penalty; of method mbr the mean chrF against the samples
    log_probability: float  # the model's own, EOS included
    ids: list[int]  # without EOS; a forced prefix is part of them
    cut: bool  # it has as many ids as it may have, so that its end may be missing
    source_cut: bool  # its source was longer than the model can read, and the rest was left out
    kept: bool = True  # it holds the placeholders of its source, each exactly as often
    placed: int = 0  # how many of them were put in afterwards: neither the model nor its search wrote them


class Attention(NamedTuple):
    """How much each piece of a target looks at each piece of its source."""

    source: list[str]  # S pieces, as the encoder reads them
    target: list[str]  # T pieces, the EOS last
    weights: Tensor  # (T, S) fp32; each row sums to one


class _Source(NamedTuple):
    ids: list[int]
    slots: tuple[str, ...]
    prefix: list[int]  # what its target begins with
    cut: bool
    required: RequiredSlots


class _Found(NamedTuple):
    hypothesis: Hypothesis
    cut: bool


class Translator:
    """Translates texts with a model, or an ensemble of models; made of its parts, or with `load` of a folder."""

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        search: SearchSettings,
        languages: Languages | Direction,
        device: torch.device | str = "auto",
    ) -> None:
        self.device = pick_device(device)
        self.model = model.to(self.device).eval()
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
        """Load a folder that train_model or the registry wrote; without `search`, as its search.json says.

        The models in the folders `others` join it in an ensemble; nothing else of those folders counts.

        Raises:
            ModelError: a folder holds no model, or a broken one, or another tokenizer; or the device does not exist.
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
        """Return the best translation of each text, in their order; a text without content gives an empty string.

        For the arguments and the errors see `hypotheses`.
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
        """Return up to `n_best` translations of each text, best first; samples in the order in which they are drawn.

        A text of any length is translated; one that exceeds `search.batch_tokens` is a batch of its own. `language` is
        the target's, which a model of several has to be told. `prefixes` says what each translation must begin with,
        which may be nothing; it goes on with a new piece, so a prefix best ends where a word does.

        Raises:
            EvaluationError: the model's output is not a number.
            ModelError: the model does not write `language`, or has not what `search.method` needs.
            ParamsError: `n_best` is more than `search` finds.
            TokenizerError: `language` has to be named.
        """
        self._check(language)
        budget = self.search.batch_tokens // width(self.search, n_best)
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
        nothing = [_Found(Hypothesis([], 0.0, 0.0), False)]
        found: list[list[_Found]] = [[] if source.ids else nothing for source in sources]
        done = len(texts) - len(left)
        listen(Progress("translate", done, len(texts), "sentences"))
        for batch in _batches([len(each.ids) for each in sources], budget):
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
        """Return where the model looks while it writes `target`: a text, the ids of a `Translation`, or its best.

        Raises:
            ModelError: the model has no attention, or the text is empty.
        """
        source = self._encode(text, "", language)
        if not source.ids:
            raise ModelError("the text is empty, so that there is nothing for the model to look at")
        if target is None:
            target = self.hypotheses([text], language=language)[0][0].ids
        elif isinstance(target, str):
            target = self.tokenizer.encode_target(target, source.slots, language)
        symbols = self.tokenizer.symbols
        pieces = self.tokenizer.target_pieces([*target, symbols.eos])
        return Attention(self.tokenizer.source_pieces(source.ids), pieces, self._attention(source.ids, target))

    @torch.inference_mode()
    def _attention(self, source: Sequence[int], target: Sequence[int]) -> Tensor:
        """(T + 1, S) fp32: where the model looks before each target id and the EOS."""
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
            forced = self.tokenizer.encode_target(prefix, slots, language)  # which begins with those
        most = getattr(self.model, "max_source_length", None)
        if most is None or len(ids) <= most:
            return _Source(ids, slots, forced, False, required)
        return _Source(
            [*ids[: most - 1], ids[-1]], slots, forced, True, required
        )  # the last id may say that a text ends

    @torch.inference_mode()
    def _decode(self, sources: list[_Source], n_best: int) -> list[list[_Found]]:
        """The hypotheses of each source of a batch."""
        search, symbols = self.search, self.tokenizer.symbols
        lengths = torch.tensor([len(each.ids) for each in sources])
        padded = torch.full((len(sources), int(lengths.max())), symbols.pad)
        for row, each in zip(padded, sources, strict=True):
            row[: len(each.ids)] = torch.tensor(each.ids)
        least = (lengths * search.min_length_ratio).long() + search.min_length_extra
        most = (lengths * search.max_length_ratio).long() + search.max_length_extra
        needed = [len(each.prefix) + each.required.total if each.required.total else 0 for each in sources]
        most = torch.maximum(most, torch.tensor(needed))  # there is room for every slot
        if (positions := getattr(self.model, "max_target_length", None)) is not None:
            most = most.clamp(max=positions - 1)  # BOS takes one
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

        found = METHODS[search.method](self.model, batch, search, n_best, write)
        return [
            [_Found(hypothesis, len(hypothesis.ids) >= limit) for hypothesis in hypotheses]
            for limit, hypotheses in zip(most.tolist(), found, strict=True)
        ]

    def _assemble(
        self, plan: TextPlan, sources: Sequence[_Source], found: Sequence[Sequence[_Found]]
    ) -> list[Translation]:
        """The translations of a text, from those of its chunks: the k-th best of each make up the k-th best."""
        translations = []
        forms = self.tokenizer.forms
        for best in zip(*found, strict=False) if found else [()]:
            targets, locators = [], []
            for chunk, source, (hypothesis, _) in zip(plan.translated, sources, best, strict=True):
                targets.append(split_at_slots(self.tokenizer.spell(hypothesis.ids), source.slots))
                locators.append(self._locator(chunk, source, hypothesis.ids))
            text, kept, placed = assemble(plan, targets, locators, forms)
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

    def _locator(self, chunk: Chunk, source: _Source, ids: list[int]) -> Locator:
        """Where in a target each placeholder of a chunk goes, by its index: see `guard.Where`.

        It stands where the model looks at it most, and without attention as far from the beginning as in the source.
        """
        starts = [match.start() for match in self.tokenizer.forms.regex.finditer(chunk.text)]

        @cache
        def seen() -> Tensor | None:
            with suppress(ModelError):  # the network has no attention
                return self._attention(source.ids, ids) if ids else None
            return None

        def locate(index: int) -> float:
            weights = seen()
            if weights is None:
                return starts[index] / max(1, len(chunk.text) - len(chunk.placeholders[index]))
            at = _piece_at(self.tokenizer.source_pieces(source.ids), starts[index] / len(chunk.text))
            ends = list(accumulate(map(len, self.tokenizer.target_pieces(ids)), initial=0))
            return ends[min(int(weights[:, at].argmax()), len(ids))] / max(1, ends[-1])

        return locate


def _piece_at(pieces: Sequence[str], share: float) -> int:
    """Which of `pieces` stands behind that share of their characters."""
    ends = list(accumulate(map(len, pieces)))
    return min(bisect(ends, share * ends[-1]), len(pieces) - 1)


def pick_device(device: torch.device | str) -> torch.device:
    """The device of a name; "auto" is the GPU if there is one. Raises `ModelError` where it does not exist."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ModelError(f"device {device!r} is not one; valid are auto, cpu and cuda") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"device {str(device)!r} is not there: torch sees no GPU; use auto or cpu")
    return place


def _batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices of the texts with a length above 0, longest first, cut so that rows times the longest fits `budget`."""
    order = sorted((i for i, length in enumerate(lengths) if length), key=lambda i: (-lengths[i], i))
    first = 0
    while first < len(order):
        rows = max(1, budget // lengths[order[first]])
        yield order[first : first + rows]
        first += rows
