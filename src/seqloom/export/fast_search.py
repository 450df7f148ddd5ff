"""A beam search by CTranslate2 with the guarantees of ours.

`FastSearch` has the interface of a search method (`decoding.methods.Method`), and a `Translator` that has one calls it
instead of the method of its settings. It searches with CTranslate2 and takes the best hypotheses that break no rule; a
source without enough of them is searched again by our own method on torch. So a result obeys all of
`decoding.constraints`: exactly the required slots, properly nested, valid UTF-8, no banned ids, and the limits of
length.

Some requests go to torch at once: the methods sampling, mbr and generate, `no_repeat_ngram`, a target prefix, and a
source that is longer than the export's table of positions. Attention is always computed by the torch network.

Differences to our beam search (`decoding.beam_search`), which its results were compared with:

- Greedy search (a beam of 1) is the same: the hypotheses are equal unless two tokens are equally likely up to rounding.
- In a beam, the same hypotheses live: the 2K best continuations are ranked, and the K best that do not end live on. But
  CTranslate2 ends a source as soon as K hypotheses are finished, while ours continues until none can become better. So
  our search may still find a hypothesis with a higher score, which is usually longer.
- CTranslate2 searches without constraints, so hypotheses that break a rule take places in its beam.
- Log-probabilities are sums in float32, and those of an int8 export are approximate.

The score is ours in either case: log-probability / penalty(|Y|), with the penalty of the settings (wu or average) and
|Y| including EOS. CTranslate2 divides by |Y| ** alpha itself; that is undone, and its K finished hypotheses are ranked
again. `early_stopping` has no effect, since CTranslate2 always ends early.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import torch

from seqloom.decoding.constraints import Constraints
from seqloom.decoding.hypotheses import Hypothesis
from seqloom.decoding.length_penalty import PENALTIES
from seqloom.decoding.methods import METHODS, Batch, Model, Write
from seqloom.decoding.settings import SearchSettings
from seqloom.export.acceptance import Written, accepted
from seqloom.export.folder import Export, open_export


class Tally(NamedTuple):
    """How many sources were searched by each engine."""

    ctranslate2: int = 0
    torch: int = 0


class FastSearch:
    """Searches with an export, and with the torch model what the export cannot do with all guarantees.

    Calls from several threads are safe.
    """

    def __init__(self, engine: Any, export: Export) -> None:
        self.export = export
        self.tally = Tally()
        self._engine = engine

    @classmethod
    def load(cls, export: Export, threads: int | None = None) -> Self:
        """Load an export. `threads` compute on the CPU, by default as many as torch uses.

        Raises:
            ModelError: the export is damaged, or CTranslate2 is not installed.
        """
        return cls(open_export(export, torch.get_num_threads() if threads is None else threads), export)

    def __call__(
        self, model: Model, batch: Batch, settings: SearchSettings, n_best: int, write: Write
    ) -> list[list[Hypothesis]]:
        """Find up to `n_best` hypotheses per source, best first: see `decoding.methods.Method`."""
        method = METHODS[settings.method]
        if settings.method != "beam" or settings.no_repeat_ngram:
            self._count(0, len(batch.lengths))
            return method(model, batch, settings, n_best, write)
        results: list[list[Hypothesis] | None] = [None] * len(batch.lengths)
        for source, found in self._accepted(batch, settings, n_best):
            results[source] = found
        left = [source for source, found in enumerate(results) if found is None]
        self._count(len(results) - len(left), len(left))
        if left:
            part = _rows(batch, left)
            again = method(model, part, settings, n_best, lambda source, ids: write(left[source], ids))
            for source, found in zip(left, again, strict=True):
                results[source] = found
        return [found for found in results if found is not None]

    def log_probabilities(
        self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
    ) -> list[list[float]]:
        """Return the export's log-probability of each target id and EOS, given its source and the ids before it."""
        named = [[list(map(str, ids)) for ids in side] for side in (sources, targets)]
        scored = self._engine.score_batch(*named, max_input_length=0)
        return [list(each.log_probs) for each in scored]

    def _count(self, fast: int, slow: int) -> None:
        self.tally = Tally(self.tally.ctranslate2 + fast, self.tally.torch + slow)

    def _accepted(self, batch: Batch, settings: SearchSettings, n_best: int) -> Iterator[tuple[int, list[Hypothesis]]]:
        """Yield the sources with `n_best` hypotheses that obey the constraints, and the best of these."""
        sources = self._readable(batch)
        if not sources:
            return
        ids, lengths = batch.source.tolist(), batch.lengths[sources].tolist()
        texts = [list(map(str, ids[source][:length])) for source, length in zip(sources, lengths, strict=True)]
        found = dict(zip(sources, self._search(texts, batch.constraints, settings), strict=True))
        # Most sources need no more than their best hypotheses to be checked.
        for most in (n_best, settings.beam):
            checked = self._valid({source: each[:most] for source, each in found.items()}, batch.constraints)
            for source, valid in checked.items():
                if len(valid) >= n_best:
                    del found[source]
                    yield source, valid[:n_best]

    def _valid(
        self, found: Mapping[int, Sequence[Hypothesis]], constraints: Constraints
    ) -> dict[int, list[Hypothesis]]:
        """Return those hypotheses of each source that obey the constraints."""
        written = [Written(source, each.ids) for source, hypotheses in found.items() for each in hypotheses]
        passes = iter(accepted(written, constraints, self.export.target_vocab_size))
        return {source: [each for each in hypotheses if next(passes)] for source, hypotheses in found.items()}

    def _readable(self, batch: Batch) -> list[int]:
        """Return the sources that are short enough and whose target has no prefix."""
        most = math.inf if self.export.positions is None else self.export.positions
        prefixes = batch.constraints.prefixes
        free = [True] * len(prefixes) if not prefixes.shape[1] else (prefixes < 0).all(dim=1).tolist()
        return [source for source, n in enumerate(batch.lengths.tolist()) if n <= most and free[source]]

    def _search(
        self, texts: Sequence[Sequence[str]], constraints: Constraints, settings: SearchSettings
    ) -> list[list[Hypothesis]]:
        """Return the hypotheses of each source that end, best first."""
        alpha = 0.0 if settings.beam == 1 else settings.length_penalty
        longest = constraints.longest + 1  # with EOS
        if self.export.positions is not None:
            longest = min(longest, self.export.positions)
        results = self._engine.translate_batch(
            texts,
            beam_size=settings.beam,
            num_hypotheses=settings.beam,
            length_penalty=alpha,
            max_input_length=0,  # no limit; by default longer sources are truncated
            max_decoding_length=longest,
            min_decoding_length=0,
            return_scores=True,
            return_end_token=True,
        )
        return [self._ranked(each, settings, alpha) for each in results]

    def _ranked(self, result: Any, settings: SearchSettings, alpha: float) -> list[Hypothesis]:
        """Return the hypotheses that end, by our score; CTranslate2 cuts what is longer than the limit."""
        penalty, end = PENALTIES[settings.normalization], str(self.export.symbols.eos)
        ranked = []
        for tokens, score in zip(result.hypotheses, result.scores, strict=True):
            if tokens and tokens[-1] == end and math.isfinite(score):
                log_probability = score * len(tokens) ** alpha
                own = log_probability / penalty(len(tokens), settings.length_penalty)
                ranked.append(Hypothesis([int(token) for token in tokens[:-1]], own, log_probability))
        return sorted(ranked, key=lambda each: -each.score)


def _rows(batch: Batch, sources: Sequence[int]) -> Batch:
    """Return some sources of a batch."""
    rows = torch.tensor(sources, device=batch.lengths.device)
    lengths = batch.lengths[rows]
    return Batch(batch.source[rows, : int(lengths.max())], lengths, batch.constraints.select(rows))
