"""prepare_corpus: write three splits from data/raw and data/synthetic, their counts, and a page of left-out pairs."""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from functools import partial

from seqloom.corpus.corpora_settings import Source
from seqloom.corpus.members import open_members
from seqloom.corpus.prepare import CorpusItem, Means, RawCorpus, prepare
from seqloom.corpus.preparing.means import Sizes, chunk_size
from seqloom.corpus.reading import CorpusRemark, RawPair, read_corpus
from seqloom.corpus.splits import Split
from seqloom.files import hashes_of, replacing_folder, sha256_of, write_json, write_text
from seqloom.import_closure import closure
from seqloom.params import Params
from seqloom.places import CORPUS, CORPUS_METRICS, CORPUS_REPORT, RAW, SCRATCH, SYNTHETIC
from seqloom.progress import Listener
from seqloom.sharding.launching import choose_launcher
from seqloom.synthesis.pairs import SyntheticCorpus, read_synthetic

_WORK = SCRATCH / "prepare_corpus"  # what is done so far; removed when everything is
_logger = logging.getLogger(__name__)


def run(params: Params, listen: Listener) -> None:
    """Write the splits, the metrics and the page; on an error the splits and metrics stay as they were.

    After an interruption, what is complete in the scratch folder is not done again.

    Raises:
        FormatError: a line or an entry of a corpus cannot be read.
        CorpusError: the remaining pairs do not suffice to train and test on; see `prepare`.
    """
    sizes = Sizes(params.shards.above, params.shards.size, chunk_size(RAW))
    means = Means(choose_launcher(params.workers), _WORK.absolute(), listen, sizes)
    with replacing_folder(CORPUS) as new:
        forms = params.placeholders.build()
        counts = prepare(_corpora(params), params.languages.directions, params.prepare, new, means, forms)
    write_json(CORPUS_METRICS, counts.record())
    write_text(CORPUS_REPORT / "index.html", counts.examples.page())
    shutil.rmtree(_WORK, ignore_errors=True)


def _corpora(params: Params) -> list[RawCorpus]:
    code = {name: sha256_of(file) for name, file in closure(__name__).items()}
    corpora = []
    for name, source in params.corpora.items():
        made_from = [code, hashes_of(RAW / name), source.model_dump(), params.languages.directions]
        identity = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
        corpora.append(RawCorpus(name, identity, partial(_items, params, name, source), source.training_only))
    # Synthetic pairs come last, so that of duplicates the others are kept.
    for made in read_synthetic(SYNTHETIC):
        identity, read = sha256_of(made.path), partial(_synthetic_items, made)
        corpora.append(RawCorpus(made.name, identity, read, training_only=True, change=made.alteration))
    return corpora


def _items(params: Params, corpus: str, source: Source) -> Iterator[CorpusItem]:
    split = None if source.split is None else Split[source.split]
    with open_members(corpus, RAW / corpus) as members:
        for direction, found in read_corpus(members, source, source.directions(params.languages)):
            if isinstance(found, CorpusRemark):
                _logger.warning(found.message)
            else:
                yield CorpusItem(direction, split, found)


def _synthetic_items(made: SyntheticCorpus) -> Iterator[CorpusItem]:
    for source, target in made.pairs():
        yield CorpusItem(made.direction, Split.train, RawPair(source, target, ""))
