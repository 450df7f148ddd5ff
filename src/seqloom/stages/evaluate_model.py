"""evaluate_model: models/candidate and the test split in; translations, scores and a page for people out.

The report also tells what is known about the corpus and the training, from the metrics of the stages before.
"""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from seqloom.corpus.splits import read_split
from seqloom.decoding.translator import Translator
from seqloom.errors import EvaluationError
from seqloom.evaluation.report import Facts, read_curve, report
from seqloom.evaluation.scores import LengthScore, Scores, score
from seqloom.evaluation.segments import Segments, segment_table
from seqloom.params import Params
from seqloom.progress import Listener
from seqloom.stages import places


def run(params: Params, listen: Listener) -> None:
    """Translate and score the test split; write reports/evaluation, metrics/evaluation.json and plots/lengths.csv."""
    pairs = list(read_split(places.CORPUS / "test.tsv"))
    if not pairs:
        raise EvaluationError(f"{places.CORPUS / 'test.tsv'}: holds no pair; raise prepare.split.test, or add pairs")
    translator = Translator.load(places.CANDIDATE, params.train.device, params.search)
    sources, references = [pair.source for pair in pairs], [pair.target for pair in pairs]
    segments = Segments(sources, references, translator.translate(sources, listen))
    languages = translator.languages
    scores = score(
        segments.hypotheses, references, sources, language=languages.target, settings=params.evaluate, listen=listen
    )
    page = report(
        segments,
        scores,
        source_language=languages.source,
        target_language=languages.target,
        examples=params.evaluate.examples,
        facts=facts(translator),
        curve=read_curve(places.TRAINING_PLOT),
    )
    places.write_text(places.REPORT / "index.html", page)
    places.write_text(places.REPORT / "hypotheses.tsv", segment_table(segments, scores))
    places.write_text(places.LENGTHS_PLOT, length_table(scores))
    places.write_text(places.EVALUATION_METRICS, json.dumps(scores.metrics(), indent=2, ensure_ascii=False) + "\n")


def facts(translator: Translator) -> Facts:
    """What a reader of the scores wants to know about the model, its training, the corpus and the search."""
    model, tokenizer, search = translator.model, translator.tokenizer, translator.search
    vocabulary = f"{tokenizer.source_vocab_size:,}"
    if not tokenizer.joint:
        vocabulary += f" and {tokenizer.target_vocab_size:,}"
    shape = _load(places.CANDIDATE / "model.json").get("settings", {})
    training, corpus = _load(places.TRAINING_METRICS), _load(places.CORPUS_METRICS)
    near_copies = corpus.get("leakage", {}).get("test", {}).get("near_copy_share")
    return {
        "Model": {
            **_known(shape, ("name", "preset", "encoder_layers", "decoder_layers", "width", "feed_forward", "heads")),
            "parameters": f"{sum(parameter.numel() for parameter in model.parameters()):,}",
            "vocabulary": vocabulary,
        },
        "Training": _known(training, ("steps", "best_step", "best_bleu", "averaged", "stopped_because")),
        "Corpus": {
            **{f"{name}, pairs read": _shown(pairs) for name, pairs in corpus.get("raw", {}).items()},
            **{f"{name} pairs": _shown(pairs) for name, pairs in corpus.get("splits", {}).items()},
            **({} if near_copies is None else {"test pairs with a near-copy in training": f"{near_copies:.1%}"}),
        },
        "Search": _known(search.model_dump(), ("beam", "length_penalty", "max_length_ratio", "max_length_extra")),
    }


def length_table(scores: Scores) -> str:
    """Scores by source length as CSV, for `dvc plots`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(LengthScore._fields)
    writer.writerows(scores.by_length)
    return text.getvalue()


def _known(record: dict[str, Any], names: Iterable[str]) -> dict[str, str]:
    """Those of the named fields that the record has, in words."""
    return {name.replace("_", " "): _shown(record[name]) for name in names if record.get(name) is not None}


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _load(path: Path) -> dict[str, Any]:
    """A JSON object, or an empty one where there is no such file: the report then says less."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path}: cannot be read: {error}") from error
    return content if isinstance(content, dict) else {}
