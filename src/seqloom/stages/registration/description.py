"""Collects what MLflow stores of a result: params, tags, metrics and files, from the outputs of earlier stages."""

import csv
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import seqloom
from seqloom import places
from seqloom.drift.profile import PROFILE
from seqloom.evaluation.settings import METRICS, TITLES
from seqloom.files import flatten
from seqloom.params import PARAMS_FILE, Params
from seqloom.stages.registration.judging import keep_texts
from seqloom.stages.registration.profile import training_profile
from seqloom.stages.registration.results import Results, export_folder
from seqloom.tracking.client.names import FINGERPRINT, model_name
from seqloom.tracking.runs.costs import FLOW_RUN, Costs, current_flow_run, read_costs
from seqloom.tracking.runs.curves import read_curves
from seqloom.tracking.runs.page import metrics_of, read_samples
from seqloom.tracking.runs.provenance import current_commit, dvc_hashes, library_versions
from seqloom.tracking.runs.training_run import Dataset, Model, TrainingRun

LOCK = Path("dvc.lock")
JOURNAL = "journal.jsonl"
SHAPING = [Path(name) for name in ("src", "params.yaml", "dvc.yaml", "pyproject.toml", "constraints.txt")]
HASHED = (places.RAW, places.CORPUS, places.TOKENS, places.TOKENIZER, places.CANDIDATE, places.REPORT)
LIBRARIES = ("torch", "sentencepiece", "sentencex", "sacrebleu", "numpy", "transformers")
EXPORT_NEEDS = ("ctranslate2",)  # the extra serve; without it, torch translates
PRETRAINED_NEEDS = ("transformers", "protobuf", "sacremoses")  # the extra hf without the hub's client
_EXAMPLE = "Hello, world!"


def collect_run(params: Params, results: Results, identity: str) -> TrainingRun:
    """Return the record of a run to log, from params.yaml and the outputs of earlier stages."""
    family, preset = params.model.name, params.model.preset
    kind = {"task": params.task, "direction": ", ".join(map(str, params.languages.directions)), "model.name": family}
    if preset is not None:
        kind["model.preset"] = preset
    settings = flatten(
        params.model_dump(mode="json", by_alias=True, exclude={"guard", "workers"}) | {"model": params.model.used()}
    )
    if params.train.tokens_per_batch == "auto":
        settings["train.tokens_per_batch"] = results.training["tokens_per_batch"]
    name = model_name(params.task, params.languages.sources, params.languages.targets)
    targets = params.languages.target_languages
    journal = places.SCRATCH / str(results.training.get("fingerprint")) / JOURNAL
    curves = read_curves(places.TRAINING_PLOT, journal if journal.is_file() else None)
    export = export_folder(results, params.export.precision)
    spent, numbers = read_costs(journal), _numbers(results)
    hashes = dvc_hashes(LOCK, HASHED)
    took = max((point.seconds for point in curves), default=0.0)
    ended = journal.stat().st_mtime if journal.is_file() else time.time()
    return TrainingRun(
        name=f"{'-'.join(filter(None, (family, preset)))} {name.removeprefix('seqloom-')} {identity[:8]}",
        note=summary(params, results),
        fingerprint=identity,
        began=ended - took,
        params={name: value for name, value in settings.items() if value is not None},
        tags=kind | _tags(params, results, hashes) | _work(spent),
        curves=curves,
        metrics=metrics_of(numbers, results.leading) | (spent.metrics() if spent is not None else {}),
        numbers=numbers,
        datasets=list(_datasets(params, results, hashes)),
        artifacts=[*_artifacts(), (keep_texts(params), "gate")],
        model=Model(
            places.CANDIDATE,
            search=params.search.model_dump(mode="json"),
            example=_example(),
            language=targets[0] if len(targets) > 1 else "",
            needs=PRETRAINED_NEEDS if family == "pretrained" else EXPORT_NEEDS if export else (),
            description=kind,
            export=export,
            files={PROFILE: training_profile(params, results.pairs["train"])},
        ),
        task=params.task,
        training=results.training.get("fingerprint"),
        samples=read_samples(places.REPORT / "hypotheses.tsv"),
    )


def version_tags(params: Params, record: TrainingRun, results: Results) -> dict[str, str]:
    """Return the tags of a version, so that the registry can be read without the runs."""
    kept = ("task", "direction", "model.name", "model.preset", "git.commit", "git.dirty", "corpora", "label")
    tags = {name: record.tags[name] for name in kept if name in record.tags}
    tags |= {FINGERPRINT: record.fingerprint, "pairs": str(results.pairs["train"])}
    tags |= {"leading": results.leading, "test_sha256": results.test_sha256}
    for score in METRICS[params.task]:
        numbers = results.evaluation.get(score, {})
        named = {score: numbers.get("score"), f"{score}.low": numbers.get("low"), f"{score}.high": numbers.get("high")}
        tags |= {name: repr(float(number)) for name, number in named.items() if number is not None}
    return tags


def summary(params: Params, results: Results) -> str:
    """Return one or two sentences about a result, for the pages of its run and its version."""
    scores = []
    for score in METRICS[params.task]:
        if numbers := results.evaluation.get(score):
            scores.append(f"{TITLES[score]} {numbers['score']:.1f} [{numbers['low']:.1f}, {numbers['high']:.1f}]")
    mean = f" (means of {len(each)} directions)" if (each := results.evaluation.get("by_direction")) else ""
    return (
        f"{', '.join(scores)}{mean} on {results.pairs['test']:,} test segments; "
        f"trained on {results.pairs['train']:,} pairs of {', '.join(params.corpora)}."
    )


def _tags(params: Params, results: Results, hashes: Mapping[str, str]) -> dict[str, str]:
    tags = {"corpora": ", ".join(params.corpora)}
    if params.register_.label is not None:
        tags["label"] = params.register_.label
    if (head := current_commit(Path.cwd(), SHAPING)) is not None:
        # MLflow's page shows the commit only under MLflow's own name.
        tags |= {"git.commit": head.sha, "git.dirty": str(head.dirty).lower(), "mlflow.source.git.commit": head.sha}
    tags |= {f"version.{library}": number for library, number in library_versions(LIBRARIES).items()}
    tags |= {f"dvc.{place}": content for place, content in hashes.items()}
    tags |= {"version.seqloom": seqloom.__version__, "mlflow.source.name": "seqloom.stages.register_model"}
    tags |= {name: str(results.training[name]) for name in ("device", "stopped_because") if name in results.training}
    return tags


def _work(spent: Costs | None) -> dict[str, str]:
    """Return the tags about the cost of training and the Prefect flow run that this process belongs to."""
    flow = current_flow_run()
    return (spent.tags() if spent is not None else {}) | ({FLOW_RUN: flow} if flow is not None else {})


def _numbers(results: Results) -> dict[str, float]:
    """Return every number of the result, under `test/` and, say, `test/en-de/`, `training/`, `corpus/`, `tokens/`."""
    found = {}
    test = dict(results.evaluation)
    directions = {f"test/{direction}": scores for direction, scores in test.pop("by_direction", {}).items()}
    groups = {"test": test, **directions}
    groups |= {"training": results.training, "corpus": results.corpus, "tokens": results.tokens}
    groups["export"] = results.export
    for group, tree in groups.items():
        for name, value in flatten(tree).items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[f"{group}/{name.removesuffix('.score')}"] = float(value)
    return found


def _datasets(params: Params, results: Results, hashes: Mapping[str, str]) -> Iterator[Dataset]:
    digest = hashes.get(str(places.CORPUS))
    if digest is None:
        return
    for split, pairs in results.pairs.items():
        place = str(places.CORPUS / f"{split}.tsv")
        yield Dataset(f"{' + '.join(params.corpora)} {split}", split, digest, place, pairs)


def _artifacts() -> Iterator[tuple[Path, str]]:
    yield places.REPORT, "report"
    for path in (places.TRAINING_PLOT, places.LENGTHS_PLOT):
        yield path, "plots"
    for path in (places.CORPUS_METRICS, places.TRAINING_METRICS, places.EXPORT_METRICS, places.EVALUATION_METRICS):
        yield path, "metrics"
    for path in (PARAMS_FILE, LOCK):
        yield path, ""


def _example() -> str:
    """Return a source sentence of the test split."""
    try:
        with (places.REPORT / "hypotheses.tsv").open(encoding="utf-8", newline="") as file:
            return next(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))["source"]
    except (OSError, StopIteration, KeyError):
        return _EXAMPLE
