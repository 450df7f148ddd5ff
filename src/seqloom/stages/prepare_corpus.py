"""prepare_corpus: write three splits from data/raw and data/synthetic, their counts, and a page of left-out pairs."""

import json
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from seqloom.corpus.members import open_members
from seqloom.corpus.prepare import CorpusItem, prepare
from seqloom.corpus.reading import CorpusRemark, RawPair, read_corpus
from seqloom.corpus.splits import Split
from seqloom.files import write_text
from seqloom.params import Params
from seqloom.places import CORPUS, CORPUS_METRICS, CORPUS_REPORT, RAW, SYNTHETIC
from seqloom.progress import Listener
from seqloom.synthesis.pairs import read_synthetic

_logger = logging.getLogger(__name__)


def run(params: Params, listen: Listener) -> None:
    """Write the splits, the metrics and the page; on an error the splits and metrics stay as they were.

    Raises:
        FormatError: a line or an entry of a corpus cannot be read.
        CorpusError: the remaining pairs do not suffice to train and test on; see `prepare`.
    """
    CORPUS.mkdir(parents=True, exist_ok=True)
    CORPUS_METRICS.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".part-", dir=CORPUS) as name:
        new = Path(name)
        forms = params.placeholders.build()
        counts = prepare(_items(params), params.languages.directions, params.prepare, new, listen, forms)
        for split in Split:
            (new / split.file_name).replace(CORPUS / split.file_name)
        metrics = new / CORPUS_METRICS.name
        metrics.write_text(json.dumps(counts.record(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        metrics.replace(CORPUS_METRICS)
    write_text(CORPUS_REPORT / "index.html", counts.examples.page())


def _items(params: Params) -> Iterator[CorpusItem]:
    """Yield the pairs of all corpora, then the synthetic ones, so that of duplicates the others are kept."""
    for corpus, source in params.corpora.items():
        split = None if source.split is None else Split[source.split]
        with open_members(corpus, RAW / corpus) as members:
            for direction, found in read_corpus(members, source, source.directions(params.languages)):
                if isinstance(found, CorpusRemark):
                    _logger.warning(found.message)
                else:
                    yield CorpusItem(corpus, direction, split, found)
    forms = params.placeholders.build()
    for made in read_synthetic(SYNTHETIC):
        change = partial(made.alteration, forms=forms)
        for source_text, target_text in made.pairs():
            yield CorpusItem(made.name, made.direction, Split.train, RawPair(source_text, target_text, ""), change)
