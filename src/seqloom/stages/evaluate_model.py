"""evaluate_model: translate and score the test split with models/candidate, and write a report.

The report also has figures about the corpus and the training, from the metrics of earlier stages, and counts what was
cut: pairs that were too long to train on, hypotheses that reached the length limit, and sources that were truncated.
"""

import csv
import io
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from seqloom import places
from seqloom.corpus.splits import Pair, read_split
from seqloom.decoding.translator import Translator
from seqloom.errors import EvaluationError, ModelError
from seqloom.evaluation.cards import segment_table
from seqloom.evaluation.heat_map import draw_heat_map
from seqloom.evaluation.report import Facts, read_curve, report
from seqloom.evaluation.scores import Scores, ranked
from seqloom.evaluation.scoring import score
from seqloom.evaluation.segments import Segments
from seqloom.evaluation.settings import TITLES
from seqloom.files import read_object, write_json, write_text
from seqloom.languages import Direction
from seqloom.params import Params
from seqloom.progress import Listener
from seqloom.sharding.launching import choose_launcher
from seqloom.sharding.mapping import map_shards
from seqloom.translation.directions import translate_each
from seqloom.translation.results import Flag, Result
from seqloom.translation.step import SHARD, Text, TranslateShard, read_results, write_texts
from seqloom.translation.texts import TextTranslator

_OF_SAMPLING = ("temperature", "top_k", "top_p", "seed")
_SEARCH = {
    "beam": ("beam", "normalization", "length_penalty"),
    "generate": ("beam", "length_penalty"),
    "sampling": _OF_SAMPLING,
    "mbr": ("samples", *_OF_SAMPLING),
}
_WORK = places.SCRATCH / "evaluation"  # shards of a large test split; after an interruption, what is there is kept
_LENGTHS = ("max_length_ratio", "max_length_extra")


class Cut(NamedTuple):
    """The number of test segments whose translation may be incomplete."""

    hypotheses: int  # that reached the length limit
    sources: int  # that are longer than the model's input


def run(params: Params, listen: Listener) -> None:
    """Translate and score the test split; write reports/evaluation, metrics/evaluation.json and plots/lengths.csv."""
    pairs = list(read_split(places.CORPUS / "test.tsv"))
    if not pairs:
        raise EvaluationError(f"{places.CORPUS / 'test.tsv'}: has no pair; raise prepare.split.test, or add pairs")
    texts_translator = TextTranslator.load(places.CANDIDATE, params.train.device, params.search)
    translator = texts_translator.translator
    directions = _directions(pairs, translator)
    found = _translated(params, [pair.source for pair in pairs], directions, texts_translator, listen)
    cut = Cut(sum(each.cut for each in found), sum(each.source_cut for each in found))
    texts = [pair.source for pair in pairs], [pair.target for pair in pairs], [each.text for each in found]
    segments = Segments(*texts, directions, translator.tokenizer.forms)
    scores = score(segments, task=params.task, settings=params.evaluate, listen=listen)
    page = report(
        segments,
        scores,
        examples=params.evaluate.examples,
        facts=facts(translator, cut, flagged(found)),
        curve=read_curve(places.TRAINING_PLOT),
    )
    metrics = scores.metrics() | {
        "cut_hypotheses": cut.hypotheses,
        "cut_sources": cut.sources,
        "flagged": flagged(found),
    }
    write_text(places.REPORT / "index.html", page)
    write_text(places.HYPOTHESES, segment_table(segments, scores))
    draw_attention(translator, segments, scores)
    write_text(places.LENGTHS_PLOT, length_table(scores))
    write_json(places.EVALUATION_METRICS, metrics)
    shutil.rmtree(_WORK, ignore_errors=True)


def _translated(
    params: Params, sources: list[str], directions: list[Direction], translator: TextTranslator, listen: Listener
) -> list[Result]:
    """Return the translations: of a small test split from this process, of a large one from workers, over shards.

    The two may differ in a few words, because other sentences share a batch and so the rounding.
    """
    if sum(len(source.encode()) for source in sources) <= params.shards.above:
        return translate_each(translator, sources, directions, listen)
    texts = write_texts(map(Text, sources, map(str, directions)), _WORK / "texts", SHARD)
    step = TranslateShard(places.CANDIDATE, params.search, params.train.device)
    total = math.ceil(len(sources) / SHARD)
    results = map_shards(
        step, texts, _WORK / "translations", choose_launcher(params.workers, device=params.train.device), listen, total
    )
    return [found for result in results for found in read_results(result.folder)]


def flagged(results: Sequence[Result]) -> dict[str, int]:
    """Return the number of translations with each flag."""
    return {flag.value: sum(flag in result.flags for result in results) for flag in Flag}


def draw_attention(translator: Translator, segments: Segments, scores: Scores) -> None:
    """Draw the attention for a segment of median quality; draw nothing if the model has no attention."""
    (row,) = ranked(scores, segments.sources, 1)["median"]
    with suppress(ModelError, EvaluationError):
        seen = translator.attention(segments.sources[row], language=segments.directions[row].target)
        draw_heat_map(seen.weights.tolist(), seen.source, seen.target, places.REPORT / "attention.png")


def _directions(pairs: Sequence[Pair], translator: Translator) -> list[Direction]:
    """Return the direction of each pair.

    Raises:
        EvaluationError: the model does not have one of them.
    """
    known = {str(direction): direction for direction in translator.languages.directions}
    if strange := {pair.direction for pair in pairs} - known.keys():
        raise EvaluationError(
            f"{places.CORPUS / 'test.tsv'}: has {', '.join(sorted(strange))}, but the model has {', '.join(known)}; "
            "run prepare_corpus and train_model again"
        )
    return [known[pair.direction] for pair in pairs]


def facts(translator: Translator, cut: Cut, flags: Mapping[str, int]) -> Facts:
    """Return the report's tables about the model, its training, the corpus and the search."""
    model, tokenizer, search = translator.model, translator.tokenizer, translator.search
    vocabulary = f"{tokenizer.source_vocab_size:,}"
    if not tokenizer.joint:
        vocabulary += f" and {tokenizer.target_vocab_size:,}"
    shape = _load(places.CANDIDATE / "model.json").get("architecture", {})
    training, corpus = _load(places.TRAINING_METRICS), _load(places.CORPUS_METRICS)
    tokens = _load(places.TOKENS / "counts.json")
    near_copies = corpus.get("leakage", {}).get("test", {}).get("near_copy_share")
    return {
        "Model": {
            **_known(shape, shape),
            "parameters": f"{sum(parameter.numel() for parameter in model.parameters()):,}",
            "vocabulary": vocabulary,
        },
        "Training": {
            **_known(training, ("steps", "best_step", "best_bleu", "averaged", "stopped_because")),
            **{f"{name} pairs left out, too long": _shown(counts["too_long"]) for name, counts in tokens.items()},
        },
        "Corpus": {
            **{f"{name}, pairs read": _shown(pairs) for name, pairs in corpus.get("raw", {}).items()},
            **{f"{name} pairs": _shown(pairs) for name, pairs in corpus.get("splits", {}).items()},
            **({} if near_copies is None else {"test pairs with a near-copy in training": f"{near_copies:.1%}"}),
        },
        "Search": {
            **_known(search.model_dump(), ("method", *_SEARCH[search.method], *_LENGTHS)),
            "hypotheses cut at the length limit": _shown(cut.hypotheses),
            "sources cut at the model's input length": _shown(cut.sources),
            **{f"translations flagged {flag.replace('_', ' ')}": _shown(count) for flag, count in flags.items()},
        },
        "Export": export_facts(_load(places.EXPORT_METRICS)),
    }


def export_facts(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the report's table about the exports: how they differ from torch, and the scores of each precision."""
    if not record.get("exported"):
        return {"kept on torch": str(record["reason"])} if "reason" in record else {}
    gaps, greedy = record["log_probabilities"], record["greedy"]
    found = {
        "largest gap of a log-probability, float32": f"{gaps['largest']:g}, on {gaps['tokens']:,} tokens",
        "greedy translations that are torch's": f"{greedy['equal'] + greedy['ties']:,} of {greedy['segments']:,}",
    }
    for precision, each in record["quality"].items():
        scores = ", ".join(f"{TITLES[name]} {value:.1f}" for name, value in each["scores"].items())
        found[precision] = f"{scores}; {each['megabytes']:.1f} MB; {each['by_torch']:.1%} searched on torch"
    return found


def length_table(scores: Scores) -> str:
    """Return the scores by source length as CSV, for `dvc plots`."""
    rows = [bucket.record() for bucket in scores.by_length]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _known(record: dict[str, Any], names: Iterable[str]) -> dict[str, str]:
    """Return those of the named fields that the record has, as text."""
    return {name.replace("_", " "): _shown(record[name]) for name in names if record.get(name) is not None}


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _load(path: Path) -> dict[str, Any]:
    """Return a JSON object, or an empty one if the file does not exist; the report is then shorter."""
    return read_object(path, EvaluationError) if path.exists() else {}
