"""export_model: convert models/candidate for CTranslate2, prove that the result is the same network, and score it.

models/export has a folder for each precision, and their translations of the test split, which the gate resamples. It
is empty if the model is kept on torch, or if an export failed its proof; metrics/export.json then has the reason.
"""

import logging
import shutil
from collections.abc import Sequence
from typing import Any

from seqloom import places
from seqloom.corpus.splits import Pair, read_split
from seqloom.decoding.model_folder import read_longest_source
from seqloom.decoding.translator import Translator
from seqloom.errors import EvaluationError, ModelError
from seqloom.evaluation.scoring import score
from seqloom.evaluation.segments import Segments
from seqloom.export.fast_search import FastSearch
from seqloom.export.folder import Export, write_export
from seqloom.export.proof import Example, Proof, Quality, compare_greedy, compare_log_probabilities, some
from seqloom.export.settings import PRECISIONS, TRANSLATIONS
from seqloom.export.specification import check_exportable
from seqloom.files import write_json
from seqloom.languages import Direction
from seqloom.models.seq2seq import Seq2Seq
from seqloom.params import Params
from seqloom.progress import Listener, Progress
from seqloom.translation.directions import translate_each
from seqloom.translation.texts import TextTranslator

_LOG = logging.getLogger(__name__)


def run(params: Params, listen: Listener) -> None:
    """Write models/export and metrics/export.json.

    Raises:
        EvaluationError: the test split is empty, or has a direction that the model does not have.
        ModelError: the model cannot be loaded, a weight is not a number, or CTranslate2 is not installed.
    """
    shutil.rmtree(places.EXPORT, ignore_errors=True)
    places.EXPORT.mkdir(parents=True)
    translator = Translator.load(places.CANDIDATE, "cpu", params.search)
    reason = _why_not(params, translator)
    record = {"exported": False, "reason": reason} if reason else _export(params, translator, listen)
    if not record["exported"]:
        _LOG.warning("no export: %s", record["reason"])
    write_json(places.EXPORT_METRICS, record)


def _why_not(params: Params, translator: Translator) -> str | None:
    """Return why the model is kept on torch, or None."""
    if not params.export.enabled:
        return "export.enabled is false"
    if params.search.method != "beam":
        return f"search.method is {params.search.method!r}, which needs torch"
    try:
        assert isinstance(translator.model, Seq2Seq)
        check_exportable(translator.model)
    except ModelError as error:
        return str(error)
    return None


def _export(params: Params, translator: Translator, listen: Listener) -> dict[str, Any]:
    """Write the exports and prove them; return the content of metrics/export.json."""
    pairs = list(read_split(places.CORPUS / "test.tsv"))
    directions = _directions(pairs, translator)
    examples = some([Example(*pair[:2], way.target) for pair, way in zip(pairs, directions, strict=True)])
    symbols = translator.tokenizer.symbols
    exports = [write_export(places.CANDIDATE, symbols, each, places.EXPORT / each) for each in PRECISIONS]
    listen(Progress("prove", 0, 1 + len(exports), "steps", "comparing with torch"))
    exact = FastSearch.load(exports[0])
    gaps = compare_log_probabilities(translator, exact, examples)
    proof = Proof(gaps, compare_greedy(translator, exact, examples), {})
    if proof.fault is not None:
        for export in exports:
            shutil.rmtree(export.folder)
        return proof.record()
    quality: dict[str, Quality] = {}
    translations: dict[str, Sequence[str]] = {}
    for done, export in enumerate(exports, 1):
        listen(Progress("prove", done, 1 + len(exports), "steps", f"scoring {export.precision}"))
        segments, search = _translate(translator, export, pairs, directions)
        scores = score(segments, task=params.task, settings=params.evaluate)
        quality[export.precision] = Quality.of(scores, search)
        translations[export.precision] = segments.hypotheses
    write_json(places.EXPORT / TRANSLATIONS, translations)
    listen(Progress("prove", 1 + len(exports), 1 + len(exports), "steps", f"gap {gaps.largest:.1g}"))
    return proof._replace(quality=quality).record()


def _translate(
    translator: Translator, export: Export, pairs: Sequence[Pair], directions: Sequence[Direction]
) -> tuple[Segments, FastSearch]:
    """Translate the test split with an export, as it will be served; return also the search, which counted."""
    search = FastSearch.load(export)
    fast = Translator(translator.model, translator.tokenizer, translator.search, translator.languages, "cpu", search)
    texts = TextTranslator(fast, read_longest_source(places.CANDIDATE))
    sources = [pair.source for pair in pairs]
    found = [each.text for each in translate_each(texts, sources, directions)]
    return Segments(sources, [pair.target for pair in pairs], found, directions, translator.tokenizer.forms), search


def _directions(pairs: Sequence[Pair], translator: Translator) -> list[Direction]:
    known = {str(direction): direction for direction in translator.languages.directions}
    if not pairs or {pair.direction for pair in pairs} - known.keys():
        raise EvaluationError(
            f"{places.CORPUS / 'test.tsv'}: must have pairs of {', '.join(known)} only, which the model translates; "
            "run prepare_corpus and train_model again"
        )
    return [known[pair.direction] for pair in pairs]
