"""Text in, text out: a model, its tokenizer and a search together. It knows no corpus and no scores.

Sentences are decoded in batches of similar length, longest first, so that little is padding and a lack of memory shows
at once. The result keeps the order of the texts, and does not depend on what else is in a batch (up to the rounding of
sums whose order a batch's shape decides). Nothing is cut in silence: each translation says whether it, or its source,
was.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor

from seqloom.decoding.constraints import Constraints
from seqloom.decoding.ensemble import Ensemble
from seqloom.decoding.folder import Languages, read_folder, same_tokenizer
from seqloom.decoding.methods import METHODS, Batch, Model, width
from seqloom.decoding.settings import SearchSettings
from seqloom.errors import ModelError
from seqloom.languages import Direction
from seqloom.progress import Listener, Progress, ignore
from seqloom.tokenization.tokenizer import Tokenizer


class Translation(NamedTuple):
    """A text in the target language, and how it was found."""

    text: str
    score: float  # what ranks it: log-probability over length penalty; of method mbr the mean chrF against the samples
    log_probability: float  # the model's own, EOS included
    ids: list[int]  # without EOS; a forced prefix is part of them
    cut: bool  # it has as many ids as it may have, so that its end may be missing
    source_cut: bool  # its source was longer than the model can read, and the rest was left out


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
                same_tokenizer(folder, other)
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
        sources = [self._encode(text, prefix, language) for text, prefix in zip(texts, prefixes, strict=True)]
        translations = [[Translation("", 0.0, 0.0, [], False, False)] for _ in texts]
        done = sum(not each.ids for each in sources)
        listen(Progress("translate", done, len(texts), "sentences"))
        for batch in _batches([len(each.ids) for each in sources], budget):
            for index, found in zip(batch, self._decode([sources[i] for i in batch], n_best), strict=True):
                translations[index] = found
            done += len(batch)
            listen(Progress("translate", done, len(texts), "sentences"))
        return translations

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
        weights = self.model.attention(
            torch.tensor([source.ids], device=self.device),
            torch.tensor([len(source.ids)], device=self.device),
            torch.tensor([[symbols.bos, *target]], device=self.device),
        )
        pieces = self.tokenizer.target_pieces([*target, symbols.eos])
        return Attention(self.tokenizer.source_pieces(source.ids), pieces, weights[0].float().cpu())

    def _check(self, language: str | None) -> None:
        written = list(dict.fromkeys(direction.target for direction in self.languages.directions))
        if language is not None and language not in written:
            raise ModelError(f"the model does not write {language!r}; it writes {', '.join(written)}")

    def _encode(self, text: str, prefix: str, language: str | None) -> _Source:
        ids, slots = self.tokenizer.encode_source(text, language)
        forced = self.tokenizer.prefix(language)
        if prefix.strip():
            forced = self.tokenizer.encode_target(prefix, slots, language)  # which begins with those
        most = getattr(self.model, "max_source_length", None)
        if most is None or len(ids) <= most:
            return _Source(ids, slots, forced, cut=False)
        return _Source([*ids[: most - 1], ids[-1]], slots, forced, cut=True)  # the last id may say that a text ends

    @torch.inference_mode()
    def _decode(self, sources: list[_Source], n_best: int) -> list[list[Translation]]:
        """The translations of each source of a batch."""
        search, symbols = self.search, self.tokenizer.symbols
        lengths = torch.tensor([len(each.ids) for each in sources])
        padded = torch.full((len(sources), int(lengths.max())), symbols.pad)
        for row, each in zip(padded, sources, strict=True):
            row[: len(each.ids)] = torch.tensor(each.ids)
        least = (lengths * search.min_length_ratio).long() + search.min_length_extra
        most = (lengths * search.max_length_ratio).long() + search.max_length_extra
        if (positions := getattr(self.model, "max_target_length", None)) is not None:
            most = most.clamp(max=positions - 1)  # BOS takes one
        batch = Batch(
            padded.to(self.device),
            lengths.to(self.device),
            Constraints.build(
                symbols,
                most.to(self.device),
                min_lengths=torch.minimum(least, most).to(self.device),
                prefixes=[each.prefix for each in sources],
                no_repeat_ngram=search.no_repeat_ngram,
            ),
        )

        def write(source: int, ids: Sequence[int]) -> str:
            return self.tokenizer.decode(ids, sources[source].slots)

        found = METHODS[search.method](self.model, batch, search, n_best, write)
        return [
            [
                Translation(write(row, ids), score, log_probability, ids, len(ids) >= limit, source.cut)
                for ids, score, log_probability in hypotheses
            ]
            for row, (source, limit, hypotheses) in enumerate(zip(sources, most.tolist(), found, strict=True))
        ]


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
