"""The settings of translate_corpus."""

from typing import Annotated, Literal

from pydantic import Field

from seqloom.corpus.settings import Name
from seqloom.corpus.source_settings import CorpusDirection
from seqloom.decoding.settings import SearchSettings
from seqloom.settings import Faults, PinnedModel, Settings, check
from seqloom.synthesis.noise import NoiseSettings


class SynthesisSettings(Settings):
    """Synthetic pairs from one corpus: each text of one side, and its translation by a model as the other side."""

    corpus: Name  # a name in `monolingual`, or in `corpora`
    # The side whose texts are translated. target: back-translation (Sennrich et al. 2016); source: forward translation.
    # null: for a monolingual corpus, the side of its language; for a parallel corpus, source
    side: Literal["source", "target"] | None = None
    direction: CorpusDirection | None = None  # of the synthetic pairs; null: the only direction in `languages`
    # models:/NAME/NUMBER, a registered version, or a model folder below data/local. For side `target`, it must
    # translate in the reverse direction.
    model: PinnedModel
    share: Annotated[float, Field(gt=0, le=1)] = 1.0  # share of the texts that are translated, chosen by a hash
    # Sampling suits back-translation of large corpora, beam search small ones (Edunov et al. 2018, sections 5.1, 5.4).
    search: SearchSettings = SearchSettings(method="beam", beam=4, length_penalty=1.0)
    # Of so many translations, the one most similar to the reference is taken (Kim and Rush 2016, section 3.3, call it
    # interpolation); above 1, `corpus` must be parallel.
    n_best: Annotated[int, Field(ge=1, le=256)] = 1
    similarity: Literal["chrf", "bleu"] = "chrf"  # sentence score that compares a translation with its reference
    # A rare character before each source of the pairs, so that the model can tell synthetic pairs from others (Caswell
    # et al. 2019); null: none. It needs no symbol in the vocabulary, because it becomes a piece of its own.
    tag: Annotated[str, Field(pattern=r"^[^\s<>{}%&\[\]]{1,8}$")] | None = None
    noise: NoiseSettings = Field(default_factory=NoiseSettings)

    @check
    def _wide_enough(self) -> Faults:
        if self.search.method == "beam" and self.n_best > self.search.beam:
            yield "n_best", f"is {self.n_best}, but search.beam finds only {self.search.beam}; use at most as many"
        if self.search.method == "mbr" and self.n_best > 1:
            yield "n_best", "must be 1 for search.method mbr, which chooses among samples itself"
