"""A beam search by CTranslate2 with the guarantees of ours.

`FastSearch` has the interface of a search method (`decoding.methods.Method`), and a `Translator` that has one calls it
instead of the method of its settings. It searches with CTranslate2 and checks what is found; each source whose result
breaks a rule is searched again by our own method on torch. So a result obeys all of `decoding.constraints`: exactly the
required slots, properly nested, valid UTF-8, no banned ids, and the limits of length. All of the `n_best` hypotheses
must pass. Taking one of a lower rank in place of one that fails left fewer sources to torch, but cost 0.3 BLEU on 423
segments.

A torch step with a few hypotheses takes nearly as long as one with many, so the sources left to torch are searched
together at the end of a call, and a call has several of the usual batches (`FastSearch.batches`). They are searched
with `early_stopping`, which takes about half as many steps and is closer to an exact search than CTranslate2's own end
(below). CTranslate2 searches a batch per core, which takes less CPU time than to share small matrices among cores.

Some requests go to torch at once, with the settings as they are: the methods sampling, mbr and generate, a target
prefix, and a source that is longer than the export's table of positions. Attention is always computed by the torch
network.

Differences to our beam search (`decoding.beam_search`), which its results were compared with:

- Greedy search (a beam of 1) is the same: the hypotheses are equal unless two tokens are equally likely up to rounding.
- In a beam, the same hypotheses live: the 2K best continuations are ranked, and the K best that do not end live on. But
  CTranslate2 ends a source as soon as `PATIENCE` * K hypotheses are finished, while ours continues until none can
  become better. So our search may still find a hypothesis with a higher score, which is usually longer.
- CTranslate2 searches without constraints, except for repeats. Our search never lets a hypothesis that breaks a rule
  take a place.
- Log-probabilities are sums in float32, and those of an int8 export are approximate.

The score is ours in either case: log-probability / penalty(|Y|), with the penalty of the settings (wu or average) and
|Y| including EOS. CTranslate2 divides by |Y| ** alpha itself; that is undone, and its K best finished hypotheses are
ranked again. `early_stopping` has no effect, since CTranslate2 always ends early.
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

import torch

from seqloom.decoding.hypotheses import Hypothesis
from seqloom.decoding.length_penalty import PENALTIES
from seqloom.decoding.methods import METHODS, Batch, Model, Write, batches, width
from seqloom.decoding.settings import SearchSettings
from seqloom.export.acceptance import Written, accepted
from seqloom.export.folder import Export, open_export

PATIENCE = 1.5
"""A source is done when this many times the beam's hypotheses are finished.

On the validation split of the default corpus, int8 lost 0.21 BLEU with 1 and 0.04 with 1.5, which took 5% more time.
"""
_PARTS = 4  # of a call per thread, because parts take different times
_LEAST_PART = 64  # tokens


class Tally(NamedTuple):
    """How many sources were searched by each engine."""

    ctranslate2: int = 0
    torch: int = 0


class FastSearch:
    """Searches with an export, and with the torch model what the export cannot do with all guarantees.

    Calls from several threads are safe.
    """

    batches = 64
    """How many times the tokens of a usual batch are searched in a call, so that those left to torch share a batch."""

    def __init__(self, engine: Any, export: Export, threads: int) -> None:
        self.export = export
        self.threads = threads
        self.tally = Tally()
        self._engine = engine

    @classmethod
    def load(cls, export: Export, threads: int | None = None) -> Self:
        """Load an export. `threads` compute on the CPU, by default as many as torch uses.

        Raises:
            ModelError: the export is damaged, or CTranslate2 is not installed.
        """
        threads = torch.get_num_threads() if threads is None else threads
        return cls(open_export(export, threads), export, threads)

    def __call__(
        self, model: Model, batch: Batch, settings: SearchSettings, n_best: int, write: Write
    ) -> list[list[Hypothesis]]:
        """Find up to `n_best` hypotheses per source, best first: see `decoding.methods.Method`."""
        able = self._readable(batch) if settings.method == "beam" else []
        results = dict(self._accepted(batch, able, settings, n_best))
        self._count(len(results), len(batch.lengths) - len(results))
        refused = [source for source in able if source not in results]
        others = sorted(set(range(len(batch.lengths))).difference(able))
        hasty = settings.model_copy(update={"early_stopping": True})
        for sources, search in ((refused, hasty), (others, settings)):
            results.update(_on_torch(model, batch, sources, search, n_best, write))
        return [results[source] for source in range(len(batch.lengths))]

    def log_probabilities(
        self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
    ) -> list[list[float]]:
        """Return the export's log-probability of each target id and EOS, given its source and the ids before it."""
        named = [[list(map(str, ids)) for ids in side] for side in (sources, targets)]
        scored = self._engine.score_batch(*named, max_input_length=0)
        return [list(each.log_probs) for each in scored]

    def _count(self, fast: int, slow: int) -> None:
        self.tally = Tally(self.tally.ctranslate2 + fast, self.tally.torch + slow)

    def _accepted(
        self, batch: Batch, sources: Sequence[int], settings: SearchSettings, n_best: int
    ) -> Iterator[tuple[int, list[Hypothesis]]]:
        """Yield those of `sources` whose `n_best` hypotheses all obey the constraints, with these."""
        if not sources:
            return
        found = self._search(batch, sources, settings, n_best)
        best = {source: each for source, each in zip(sources, found, strict=True) if len(each) == n_best}
        written = [Written(source, each.ids) for source, hypotheses in best.items() for each in hypotheses]
        passes = accepted(written, batch.constraints, self.export.target_vocab_size)
        refused = {each.source for each, passed in zip(written, passes, strict=True) if not passed}
        yield from ((source, hypotheses) for source, hypotheses in best.items() if source not in refused)

    def _readable(self, batch: Batch) -> list[int]:
        """Return the sources that are short enough and whose target has no prefix."""
        most = math.inf if self.export.positions is None else self.export.positions
        prefixes = batch.constraints.prefixes
        free = [True] * len(prefixes) if not prefixes.shape[1] else (prefixes < 0).all(dim=1).tolist()
        return [source for source, n in enumerate(batch.lengths.tolist()) if n <= most and free[source]]

    def _search(
        self, batch: Batch, sources: Sequence[int], settings: SearchSettings, n_best: int
    ) -> list[list[Hypothesis]]:
        """Return up to `n_best` hypotheses of each source, best first.

        The sources are divided into enough parts to keep all threads busy. A small part costs a source no more time.
        """
        alpha = 0.0 if settings.beam == 1 else settings.length_penalty
        ids, lengths = batch.source.tolist(), batch.lengths.tolist()
        limits = batch.constraints.max_lengths.tolist()
        tokens = sum(lengths[source] for source in sources)
        budget = min(settings.batch_tokens // settings.beam, max(_LEAST_PART, tokens // (_PARTS * self.threads)))
        pending: dict[int, Any] = {}
        for part in batches([lengths[source] for source in sources], budget):
            rows = [sources[index] for index in part]
            longest = max(limits[row] for row in rows) + 1  # with EOS
            if self.export.positions is not None:
                longest = min(longest, self.export.positions)
            results = self._engine.translate_batch(
                [list(map(str, ids[row][: lengths[row]])) for row in rows],
                beam_size=settings.beam,
                num_hypotheses=settings.beam,
                patience=1.0 if settings.beam == 1 else PATIENCE,
                length_penalty=alpha,
                max_input_length=0,  # no limit; by default longer sources are truncated
                max_decoding_length=longest,
                min_decoding_length=0,
                no_repeat_ngram_size=settings.no_repeat_ngram,
                return_scores=True,
                return_end_token=True,
                asynchronous=True,
            )
            pending.update(zip(rows, results, strict=True))
        return [self._ranked(pending[source].result(), settings, alpha, n_best) for source in sources]

    def _ranked(self, result: Any, settings: SearchSettings, alpha: float, n_best: int) -> list[Hypothesis]:
        """Return the `n_best` hypotheses by our score; none if one of them did not end, or is no number."""
        penalty, end = PENALTIES[settings.normalization], str(self.export.symbols.eos)
        ranked = []
        for each, score in zip(result.hypotheses, result.scores, strict=True):
            log_probability = score * len(each) ** alpha
            own = log_probability / penalty(max(1, len(each)), settings.length_penalty)
            ranked.append((each, own, log_probability))
        ranked.sort(key=lambda each: -each[1])
        best = ranked[:n_best]
        if not all(each and each[-1] == end and math.isfinite(score) for each, score, _ in best):
            return []
        return [Hypothesis([int(token) for token in each[:-1]], *scored) for each, *scored in best]


def _on_torch(
    model: Model, batch: Batch, sources: Sequence[int], settings: SearchSettings, n_best: int, write: Write
) -> Iterator[tuple[int, list[Hypothesis]]]:
    """Yield some sources of a batch, with the hypotheses that the method of the settings finds for them."""
    lengths = batch.lengths.tolist()
    for part in batches([lengths[source] for source in sources], settings.batch_tokens // width(settings, n_best)):
        rows = torch.tensor([sources[index] for index in part], device=batch.lengths.device)
        few = Batch(batch.source[rows, : lengths[rows[0]]], batch.lengths[rows], batch.constraints.select(rows))
        write_row = partial(_write_row, write, rows.tolist())
        found = METHODS[settings.method](model, few, settings, n_best, write_row)
        yield from zip(rows.tolist(), found, strict=True)


def _write_row(write: Write, rows: Sequence[int], index: int, ids: Sequence[int]) -> str:
    """Return the text of target ids for the source that is at `index` among `rows`."""
    return write(rows[index], ids)
