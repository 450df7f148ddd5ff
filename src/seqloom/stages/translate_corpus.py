"""translate_corpus: translate texts of corpora with registered versions, as further training pairs for prepare_corpus.

For each name in the section, data/synthetic gets NAME.tsv and NAME.json (`synthesis.pairs`). Texts and translations
are kept in scratch/translate_corpus by the hash of what they were made from, so that after an interruption, or for a
corpus that has grown, only the shards that are missing are translated. Without names, data/synthetic is empty.
"""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from seqloom.files import replacing_folder
from seqloom.params import Params
from seqloom.places import LOCAL as LOCAL  # a model folder may be below it
from seqloom.places import RAW, SCRATCH, SYNTHETIC
from seqloom.progress import Listener

if TYPE_CHECKING:  # a stage that is switched off imports nothing
    from seqloom.synthesis.plan import Plan
    from seqloom.synthesis.texts import Original, Selection

_logger = logging.getLogger(__name__)


def run(params: Params, listen: Listener) -> None:
    """Write data/synthetic.

    Raises:
        RegistryError: a version cannot be fetched.
        ModelError: a model cannot be loaded, or does not translate in the direction that is needed.
        CorpusError: no text is left to translate, or no translation can be used.
        ShardError: some shards cannot be translated.
    """
    with replacing_folder(SYNTHETIC) as folder:
        if not params.translate_corpus:
            _logger.info("switched off: translate_corpus in params.yaml names nothing")
            return
        from seqloom.sharding.launching import choose_launcher
        from seqloom.sharding.mapping import Workshop
        from seqloom.synthesis.making import make
        from seqloom.synthesis.plan import plans
        from seqloom.synthesis.texts import Selection
        from seqloom.tracking.registry.pinned import pinned_folder

        launcher = choose_launcher(params.workers, device=params.train.device)
        for plan in plans(params.translate_corpus, params.languages, params.monolingual):
            model = pinned_folder(plan.settings.model, f"translate_corpus.{plan.name}.model")
            selection = Selection(params.prepare, params.placeholders.build(), plan.settings.share)
            work = Workshop(SCRATCH / "translate_corpus" / plan.name, launcher, params.train.device)
            make(plan, model, _originals(plan, params, selection), selection, work, listen).write(folder)


def _originals(plan: "Plan", params: Params, selection: "Selection") -> "Iterator[Original]":
    """Yield the texts of a corpus."""
    from seqloom.corpus.members import open_members
    from seqloom.corpus.reading import RawPair, RawText, read_corpus, read_monolingual
    from seqloom.corpus.splits import Split
    from seqloom.corpus.splitting import pivots

    name = plan.settings.corpus
    with open_members(name, RAW / name) as members:
        if name in params.monolingual:
            found = read_monolingual(members, params.monolingual[name])
            yield from selection.monolingual(each.text for each in found if isinstance(each, RawText))
            return
        source = params.corpora[name]
        given = None if source.split is None else Split[source.split]
        pivot = pivots(params.languages.directions)[plan.direction]
        pairs = (each for _, each in read_corpus(members, source, [plan.direction]) if isinstance(each, RawPair))
        yield from selection.parallel(pairs, plan.side, pivot, given)
