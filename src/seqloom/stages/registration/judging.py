"""Compares a version with the champion, both as stored in the registry, on the test split in data/corpus.

A version is judged once. The verdict is stored before the alias moves, so that an interrupted run completes the
promotion instead of judging again. A person may move the alias at any time, and no stage reverts that.
"""

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqloom import places
from seqloom.corpus.splits import Pair, read_split
from seqloom.errors import EvaluationError, ModelError, TokenizerError
from seqloom.evaluation.scoring import score
from seqloom.evaluation.segments import Segments
from seqloom.files import write_text
from seqloom.gate.overlap import TrainingTexts
from seqloom.gate.performance import EvaluationSet, LoadedVersion, Performance, speeds
from seqloom.gate.report import markdown
from seqloom.gate.rules import Rule, Verdict, empty_rule, explain_rule, judge
from seqloom.gate.settings import GateSettings
from seqloom.gate.shadow import explain_shadow, read_comparisons
from seqloom.params import Params
from seqloom.progress import Listener, Progress
from seqloom.stages.registration.export_loss import export_rules
from seqloom.tracking.client.names import PROMOTED, VERDICT
from seqloom.tracking.client.run_data import read_artifact
from seqloom.tracking.client.store import Store
from seqloom.tracking.registry.champion import current_champion, history, set_champion
from seqloom.tracking.registry.registration import log_speed, log_verdict
from seqloom.tracking.registry.versions import Reference, fetch_model, has_files

TEXTS = "training_texts.safetensors"
_BROKEN = (ModelError, TokenizerError, EvaluationError)

_LOG = logging.getLogger(__name__)
_BOUNDS = "settings"  # of the gate, kept as the tag gate.settings of a version


class Judgement(NamedTuple):
    """Whether a version is champion now, and why or why not."""

    champion: bool
    reason: str


class _Champion(NamedTuple):
    number: str
    loaded: LoadedVersion
    trained_on: TrainingTexts | None  # None for old versions, which were registered without it


def settle(store: Store, version: Any, params: Params, listen: Listener) -> Judgement:
    """Judge a version unless it has a verdict, and make it champion if the verdict is to promote it.

    Raises:
        RegistryError: the registry reports an error.
    """
    number = str(version.version)
    verdict_tag = version.tags.get(VERDICT)
    if verdict_tag is None:
        before, verdict = _judge(store, version, params, listen)
        _keep(store, version, before, verdict, params.gate)
        verdict_tag = f"{PROMOTED if verdict.promoted else ''}{verdict.reason}"
    elif not verdict_tag.startswith(PROMOTED) and (others := _other_bounds(version, params.gate)):
        _LOG.warning(
            "version %s was refused under other settings (%s), and a version is judged once; "
            "`seqloom promote %s` makes it champion without the gate", number, "; ".join(others), number,
        )  # fmt: skip
    reason = verdict_tag.removeprefix(PROMOTED)
    champion = current_champion(store, version.name)
    if verdict_tag.startswith(PROMOTED) and champion != number:
        if any(move.version == number and move.made for move in history(store, version.name)):
            return Judgement(False, f"version {champion} has replaced it since")
        champion = set_champion(store, version.name, number, "gate", reason).version
    if champion == number and not verdict_tag.startswith(PROMOTED):
        reason = "chosen by a person"
    return Judgement(champion == number, reason)


def _judge(store: Store, version: Any, params: Params, listen: Listener) -> tuple[str | None, Verdict]:
    """Return the champion's number and the verdict; compare again if the champion has changed meanwhile."""
    while True:
        before = current_champion(store, version.name)
        verdict = _compare(store, version, before, params, listen)
        if current_champion(store, version.name) == before:
            return before, verdict


def _compare(store: Store, version: Any, before: str | None, params: Params, listen: Listener) -> Verdict:
    pairs = list(read_split(places.CORPUS / "test.tsv"))
    directions = {str(direction): direction for direction in params.languages.directions}
    test_set = EvaluationSet(
        [pair.source for pair in pairs], [pair.target for pair in pairs], [directions[pair.direction] for pair in pairs]
    )
    try:
        folder = fetch_model(store, Reference(version.name, number=str(version.version)))
        challenger = LoadedVersion.load(folder, params.train.device)
        began = time.perf_counter()
        written = challenger.translate(test_set.sources, test_set.directions, _with_note(listen, "the new version"))
        log_speed(store, version, len(pairs) / (time.perf_counter() - began))
    except _BROKEN as error:
        return Verdict(False, f"the new version is broken: {error}")
    not_empty = empty_rule(written, params.gate)
    if not not_empty.ok:
        return Verdict(False, f"the new version is broken: {explain_rule(not_empty)}", (not_empty,))
    own = (not_empty, *export_rules(params))
    if not own[-1].ok:
        return Verdict(False, f"the export is too inexact: {explain_rule(own[-1])}", own)
    if own[-1].p is not None:
        _LOG.warning("%s: look at its translations, or use a larger test split", explain_rule(own[-1]))
    if before is None:
        return Verdict(True, "the first champion", own)
    if before == str(version.version):
        return Verdict(True, "it was made champion before it was judged", own)
    if not has_files(store, store.client.get_model_version(version.name, before)):
        return Verdict(True, f"the files of the champion, version {before}, are missing", own)
    try:
        champion = _champion(store, version.name, before, params.train.device)
        selected = _unseen_rows(pairs, champion, params)
        if isinstance(selected, Verdict):
            return selected
        rows, rule = selected
        fresh = test_set.take(rows)
        theirs = champion.loaded.translate(
            fresh.sources, fresh.directions, _with_note(listen, f"champion, version {before}")
        )
        speed = speeds([challenger, champion.loaded], fresh)
    except _BROKEN as error:
        return Verdict(
            False,
            f"comparing with the champion, version {before}, failed ({error}); "
            f"`seqloom promote {version.version}` makes this version champion anyway",
        )
    ours = _performance(fresh, [written[row] for row in rows], challenger, params)
    verdict = judge(ours, _performance(fresh, theirs, champion.loaded, params), speed, params.gate, params.evaluate)
    return verdict._replace(rules=(*verdict.rules, *own[1:], rule))


def _champion(store: Store, name: str, number: str, device: str) -> _Champion:
    version = LoadedVersion.load(fetch_model(store, Reference(name, number=number)), device)
    run_id = store.client.get_model_version(name, number).run_id
    texts = read_artifact(store, run_id, f"gate/{TEXTS}") if run_id else None
    return _Champion(number, version, None if texts is None else TrainingTexts.read(texts))


def _unseen_rows(pairs: Sequence[Pair], champion: _Champion, params: Params) -> tuple[list[int], Rule] | Verdict:
    """Return the rows of the test split that neither version was trained on, or a verdict if there are too few."""
    directions, apart = params.languages.directions, params.prepare.split.apart
    own = TrainingTexts.of(read_split(places.CORPUS / "train.tsv"), directions)
    if leaked := sum(own.holds(pairs, directions, apart)):
        return Verdict(False, f"{leaked:,} segments of the test split are also in the training data of the new version")
    shared = [False] * len(pairs)
    if champion.trained_on is not None:
        shared = champion.trained_on.holds(pairs, directions, apart)
    rows = [row for row, each in enumerate(shared) if not each]
    share = 1 - len(rows) / len(pairs)
    most = params.gate.max_shared
    rule = Rule("share of test segments left out", share <= most and bool(rows), share, None, f"at most {most:g}")
    if not rule.ok:
        return Verdict(
            False,
            f"{len(pairs) - len(rows):,} of {len(pairs):,} test segments are in the training data of the champion, "
            f"version {champion.number}; a comparison would favour it (gate.max_shared is {most:g})",
            (rule,),
        )
    return rows, rule


def _performance(
    fresh: EvaluationSet, hypotheses: Sequence[str], version: LoadedVersion, params: Params
) -> Performance:
    segments = Segments(fresh.sources, fresh.references, hypotheses, fresh.directions, params.placeholders.build())
    return Performance(segments, score(segments, task=params.task, settings=params.evaluate), version.size)


def _keep(store: Store, version: Any, before: str | None, verdict: Verdict, settings: GateSettings) -> None:
    """Store the verdict as tags of the version, as artifacts of its run, and in reports/gate."""
    name, number = version.name, str(version.version)
    comparisons = read_comparisons(places.SHADOW, f"{name}/{number}")
    files = {
        "verdict.json": json.dumps({"model": name, "version": number, "champion": before} | verdict.record(), indent=2)
        + "\n",
        "verdict.md": markdown(f"{name} version {number}", verdict, explain_shadow(comparisons)),
    }
    rules = {rule.name.replace(" ", "_"): explain_rule(rule) for rule in verdict.rules}
    rules[_BOUNDS] = settings.model_dump_json()
    if before is not None:
        rules["champion"] = before
    log_verdict(store, version, verdict.promoted, verdict.reason, rules, files)
    for file, text in files.items():
        write_text(places.GATE / file, text)


def _other_bounds(version: Any, settings: GateSettings) -> list[str]:
    """Return how the gate's settings differ from those of the verdict; empty if these were not stored."""
    kept, now = version.tags.get(f"gate.{_BOUNDS}"), settings.model_dump(mode="json")
    then = now if kept is None else json.loads(kept)
    return [f"gate.{name} was {then.get(name)}, is {value}" for name, value in now.items() if then.get(name) != value]


def keep_texts(params: Params) -> Path:
    """Write hashes of the training texts, which later comparisons need; return the file."""
    texts = TrainingTexts.of(read_split(places.CORPUS / "train.tsv"), params.languages.directions)
    texts.save(places.GATE / TEXTS)
    return places.GATE / TEXTS


def _with_note(listen: Listener, who: str) -> Listener:
    def report(progress: Progress) -> None:
        listen(progress._replace(note=who))

    return report
