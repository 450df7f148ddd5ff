"""Entries of the leaderboard: finished runs with their scores, size, speed and costs; and external systems.

An external system is one whose translation of the test set is read from a file and scored like a run's.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

from pydantic import ValidationError

from seqloom.errors import EvaluationError, ParamsError
from seqloom.evaluation.scoring import score
from seqloom.evaluation.segments import Segments
from seqloom.evaluation.settings import LEADING, METRICS, EvaluateSettings, Task
from seqloom.plain_yaml import read
from seqloom.tracking.client.library import MlflowException
from seqloom.tracking.client.names import FINGERPRINT, SPEED
from seqloom.tracking.client.run_data import read_artifact
from seqloom.tracking.client.store import Store, registry_errors
from seqloom.tracking.registry.comparison import UnreadableTextsError, read_texts
from seqloom.tracking.registry.leaderboard_records import StoredScore, SystemResult, texts_hash
from seqloom.tracking.registry.lineage import LOCK
from seqloom.tracking.registry.versions import Reference, Version, list_versions

_EVALUATION, _TRAINING, _MODEL = "metrics/evaluation.json", "metrics/training.json", "models/candidate"
_PAGE = 200
_LONGEST_NAME = 60  # characters of a name


class Entry(NamedTuple):
    """A finished run with its result."""

    result: SystemResult
    run_id: str
    params: Mapping[str, str]
    versions: tuple[str, ...]  # NAME/NUMBER, newest first
    aliases: tuple[str, ...]
    speed: float | None  # segments per second, from the current tag of the run


def read_entries(
    store: Store, experiment: str | None, model: str | None, known: Iterable[SystemResult]
) -> tuple[list[Entry], int]:
    """Return the finished runs of an experiment and of a model's versions, and how many of them have no scores.

    There is one entry for each fingerprint. Runs whose result is among the `known` ones are not read again. Trials of
    sweeps and runs of other tools have no scores.

    Raises:
        RegistryError: the store refuses.
    """
    recorded = {result.fingerprint: result for result in known if result.fingerprint}
    found: list[Entry] = []
    unscored = 0
    for group in _groups(store, experiment, model):
        run, own = group
        result = recorded.get(run.data.tags.get(FINGERPRINT)) or _read(store, run, own)
        if result is None:
            unscored += 1
            continue
        aliases = tuple(sorted({alias for version in own for alias in version.aliases}))
        names = tuple(f"{version.name}/{version.version}" for version in own)
        tags = run.data.tags
        found.append(Entry(result, str(run.info.run_id), run.data.params, names, aliases, _number(tags.get(SPEED))))
    return found, unscored


def read_segments(store: Store, entry: Entry) -> Segments | None:
    """Return the test set with a run's translations, or None if it logged none. Raises `RegistryError`."""
    return _texts(store, entry.run_id, entry.params)


class ExternalSystem(NamedTuple):
    """Another system and its translations, one per segment of the test set."""

    name: str
    hypotheses: list[str]
    file: str


def read_external(named: str) -> ExternalSystem:
    """Read `NAME=FILE`, a UTF-8 file with one translation per line; an empty line is an empty translation.

    Raises:
        EvaluationError: `named` has another form, or the file cannot be read or is not UTF-8.
    """
    name, equals, file = named.partition("=")
    name = name.strip()
    if not (equals and name and file and name.isprintable()) or len(name) > _LONGEST_NAME:
        raise EvaluationError(
            f"--external {named}: must be NAME=FILE, with a name of at most {_LONGEST_NAME} printable characters"
        )
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise EvaluationError(f"{file}: cannot be read: {error.strerror}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise EvaluationError(f"{file}: line {line} is not UTF-8; save the file as UTF-8") from error
    # Not splitlines, which also splits at U+2028 and other characters.
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []
    return ExternalSystem(name, lines, file)


def score_external(
    system: ExternalSystem, test: Segments, like: SystemResult, settings: EvaluateSettings
) -> SystemResult:
    """Score an external system like the run whose result is `like`: on its test set, with the metrics of its task.

    Args:
        system: the system to score.
        test: the test set; its hypotheses are ignored.
        like: the result of a run on this test set.
        settings: the bootstrap settings of that run.

    Raises:
        EvaluationError: the number of lines is not the number of segments.
    """
    if len(system.hypotheses) != like.segments:
        raise EvaluationError(
            f"{system.file}: has {len(system.hypotheses):,} lines, the test set {like.segments:,} segments; it needs a "
            "translation per line, in the order of the test set (`cut -f1 data/corpus/test.tsv`, without its head)"
        )
    scores = score(test._replace(hypotheses=system.hypotheses), task=like.task, settings=settings)
    several = scores.directions if len(scores.directions) > 1 else {}
    return SystemResult(
        kind="external",
        name=system.name,
        hypotheses_sha256=texts_hash(system.hypotheses),
        test_sha256=like.test_sha256,
        task=like.task,
        segments=like.segments,
        scores={name: StoredScore.of(each) for name, each in scores.scores.items()},
        by_direction={
            str(direction): {name: StoredScore.of(each) for name, each in found.scores.items()}
            for direction, found in several.items()
        },
        hypotheses=system.hypotheses,
    )


def _groups(store: Store, experiment: str | None, model: str | None) -> list[tuple[Any, list[Version]]]:
    """Return one run for each fingerprint, if possible a registered one, with its versions, newest first."""
    with registry_errors(store):
        runs = {str(run.info.run_id): run for run in _finished(store, experiment)}
        owned = list_versions(store, Reference(model)) if model else []
        for version in owned:
            if version.run_id and version.run_id not in runs:
                try:
                    runs[version.run_id] = store.client.get_run(version.run_id)
                except MlflowException as error:
                    if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                        raise
    groups: dict[str, tuple[Any, list[Version]]] = {}
    for run_id, run in runs.items():
        key = run.data.tags.get(FINGERPRINT, run_id)
        mine = [version for version in owned if version.run_id == run_id]
        first, others = groups.get(key, (run, []))
        groups[key] = (run if mine and not others else first, [*others, *mine])
    return [(run, sorted(mine, key=lambda version: -int(version.version))) for run, mine in groups.values()]


def _finished(store: Store, experiment: str | None) -> list[Any]:
    home = None if experiment is None else store.client.get_experiment_by_name(experiment)
    if home is None:
        return []
    found: list[Any] = []
    token = None
    while True:
        page = store.client.search_runs(
            [home.experiment_id], "attributes.status = 'FINISHED'", max_results=_PAGE, page_token=token
        )
        found.extend(page)
        if not (token := page.token):
            return found


def _read(store: Store, run: Any, own: Sequence[Version]) -> SystemResult | None:
    """Return the result that a run logged, or None if it has no valid scores."""
    run_id, tags, params = str(run.info.run_id), run.data.tags, run.data.params
    if FINGERPRINT not in tags:
        return None
    named = params.get("task", "translation")
    if named not in get_args(Task):
        return None
    task = cast("Task", named)
    evaluation = _object(read_artifact(store, run_id, _EVALUATION))
    scores = _scores(evaluation, task)
    if LEADING[task] not in scores:
        return None
    directions = evaluation.get("by_direction")
    segments = _texts(store, run_id, params)
    with registry_errors(store):
        experiment = store.client.get_experiment(run.info.experiment_id).name
    record = {
        "kind": "run",
        "name": run.info.run_name,
        "experiment": experiment,
        "model": own[0].name if own else None,
        "version": own[0].version if own else None,
        "fingerprint": tags[FINGERPRINT],
        "hypotheses_sha256": None if segments is None else texts_hash(segments.hypotheses),
        "test_sha256": evaluation.get("test_sha256"),
        "task": task,
        "segments": evaluation.get("segments"),
        "scores": scores,
        "by_direction": {name: _scores(each, task) for name, each in directions.items()} if directions else {},
        "params_sha256": hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest(),
        "commit": tags.get("git.commit"),
        "device": tags.get("device"),
        "parameters": _object(read_artifact(store, run_id, _TRAINING)).get("parameters"),
        "size_bytes": _size(read_artifact(store, run_id, LOCK)),
        "costs": {
            name.removeprefix("cost."): number
            for name, value in tags.items()
            if name.startswith("cost.") and (number := _number(value)) is not None
        },
        "segments_per_s": _number(tags.get(SPEED)),
        "training_tokens_per_s": run.data.metrics.get("train/tokens_per_s"),
    }
    try:
        return SystemResult.model_validate_json(json.dumps(record))
    except ValidationError:
        return None


def _texts(store: Store, run_id: str, params: Mapping[str, str]) -> Segments | None:
    try:
        found = read_texts(store, run_id, params, run_id)
    except UnreadableTextsError:  # then only significance is unknown
        return None
    return None if found is None else found[1]


def _scores(content: Mapping[str, Any], task: Task) -> dict[str, Any]:
    return {name: content[name] for name in METRICS[task] if isinstance(content.get(name), dict)}


def _object(content: bytes | None) -> dict[str, Any]:
    try:
        found = None if content is None else json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _size(lock: bytes | None) -> int | None:
    """Return the size in bytes of the model folder in dvc.lock, or None."""
    try:
        stages = read((lock or b"").decode("utf-8", "replace"), "dvc.lock").content["stages"]
        sizes = [out.get("size") for stage in stages.values() for out in stage["outs"] if out["path"] == _MODEL]
    except (ParamsError, KeyError, TypeError, AttributeError):
        return None
    return sizes[0] if sizes and isinstance(sizes[0], int) else None


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
