"""The gate at work: a version and the champion, both as the registry holds them, on the test split that lies here.

A version is judged once; the verdict is written down before the alias moves, so that a judgement that was cut off is
finished and not repeated. A person may move the alias at any time, and no stage takes that back.
"""

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqloom.corpus.splits import Pair, read_split
from seqloom.errors import EvaluationError, ModelError, TokenizerError
from seqloom.evaluation.scoring import score
from seqloom.evaluation.segments import Segments
from seqloom.gate.overlap import TrainingTexts
from seqloom.gate.performance import EvaluationSet, LoadedVersion, Performance, speeds
from seqloom.gate.report import markdown
from seqloom.gate.rules import Rule, Verdict, empty_rule, explain_rule, judge
from seqloom.gate.settings import GateSettings
from seqloom.params import Params
from seqloom.progress import Listener, Progress
from seqloom.stages import places
from seqloom.tracking.artifacts import read_artifact
from seqloom.tracking.champion import crown, history, reigning
from seqloom.tracking.names import PROMOTED, VERDICT
from seqloom.tracking.registry import keep_speed, keep_verdict
from seqloom.tracking.store import Store
from seqloom.tracking.versions import Reference, fetch, is_whole

TEXTS = "training_texts.safetensors"
_BROKEN = (ModelError, TokenizerError, EvaluationError)

_LOG = logging.getLogger(__name__)
_BOUNDS = "settings"  # of the gate, kept as the tag gate.settings of a version


class Outcome(NamedTuple):
    """What became of a version."""

    champion: bool  # now
    reason: str


class _Champion(NamedTuple):
    number: str
    contestant: LoadedVersion
    trained_on: TrainingTexts | None  # of versions from before it was kept it is not known


def settle(store: Store, version: Any, params: Params, listen: Listener) -> Outcome:
    """Judge a version that was never judged, and make it champion if it deserves that.

    Raises:
        RegistryError: the registry refuses.
    """
    number = str(version.version)
    said = version.tags.get(VERDICT)
    if said is None:
        before, verdict = _judge(store, version, params, listen)
        _keep(store, version, before, verdict, params.gate)
        said = f"{PROMOTED if verdict.promoted else ''}{verdict.reason}"
    elif not said.startswith(PROMOTED) and (others := _other_bounds(version, params.gate)):
        _LOG.warning(
            "version %s was refused under other settings (%s), and a version is judged once; "
            "`seqloom promote %s` makes it champion without the gate", number, "; ".join(others), number,
        )  # fmt: skip
    reason = said.removeprefix(PROMOTED)
    champion = reigning(store, version.name)
    if said.startswith(PROMOTED) and champion != number:
        if any(move.version == number and move.made for move in history(store, version.name)):
            return Outcome(False, f"version {champion} is, since then")
        champion = crown(store, version.name, number, "gate", reason).version
    if champion == number and not said.startswith(PROMOTED):
        reason = "somebody chose it"
    return Outcome(champion == number, reason)


def _judge(store: Store, version: Any, params: Params, listen: Listener) -> tuple[str | None, Verdict]:
    """The champion that a version was compared with, and the verdict; once more, if another one reigns by then."""
    while True:
        before = reigning(store, version.name)
        verdict = _compare(store, version, before, params, listen)
        if reigning(store, version.name) == before:
            return before, verdict


def _compare(store: Store, version: Any, before: str | None, params: Params, listen: Listener) -> Verdict:
    pairs = list(read_split(places.CORPUS / "test.tsv"))
    directions = {str(direction): direction for direction in params.languages.directions}
    asked = EvaluationSet(
        [pair.source for pair in pairs], [pair.target for pair in pairs], [directions[pair.direction] for pair in pairs]
    )
    try:
        folder = fetch(store, Reference(version.name, number=str(version.version)))
        challenger = LoadedVersion.load(folder, params.train.device)
        began = time.perf_counter()
        written = challenger.translate(asked.sources, asked.directions, _telling(listen, "the new version"))
        keep_speed(store, version, len(pairs) / (time.perf_counter() - began))
    except _BROKEN as error:
        return Verdict(False, f"the new version is broken: {error}")
    some = empty_rule(written, params.gate)
    if not some.ok:
        return Verdict(False, f"the new version is broken: {explain_rule(some)}", (some,))
    if before is None:
        return Verdict(True, "the first champion", (some,))
    if before == str(version.version):
        return Verdict(True, "it was made champion before it was judged", (some,))
    if not is_whole(store, store.client.get_model_version(version.name, before)):
        return Verdict(True, f"the files of the champion, version {before}, are gone", (some,))
    try:
        champion = _champion(store, version.name, before, params.train.device)
        apart = _fresh(pairs, champion, params)
        if isinstance(apart, Verdict):
            return apart
        rows, rule = apart
        contest = asked.take(rows)
        theirs = champion.contestant.translate(
            contest.sources, contest.directions, _telling(listen, f"champion, version {before}")
        )
        pace = speeds([challenger, champion.contestant], contest)
    except _BROKEN as error:
        return Verdict(
            False,
            f"the champion, version {before}, cannot be compared with ({error}); "
            f"`seqloom promote {version.version}` makes this version champion all the same",
        )
    ours = _performance(contest, [written[row] for row in rows], challenger, params)
    verdict = judge(
        ours, _performance(contest, theirs, champion.contestant, params), pace, params.gate, params.evaluate
    )
    return verdict._replace(rules=(*verdict.rules, rule))


def _champion(store: Store, name: str, number: str, device: str) -> _Champion:
    contestant = LoadedVersion.load(fetch(store, Reference(name, number=number)), device)
    run_id = store.client.get_model_version(name, number).run_id
    texts = read_artifact(store, run_id, f"gate/{TEXTS}") if run_id else None
    return _Champion(number, contestant, None if texts is None else TrainingTexts.read(texts))


def _fresh(pairs: Sequence[Pair], champion: _Champion, params: Params) -> tuple[list[int], Rule] | Verdict:
    """The rows of the test split that neither version was trained on; or the verdict, where there are too few."""
    directions, apart = params.languages.directions, params.prepare.split.apart
    own = TrainingTexts.of(read_split(places.CORPUS / "train.tsv"), directions)
    if leaked := sum(own.holds(pairs, directions, apart)):
        return Verdict(
            False, f"{leaked:,} segments of the test split stand in the training data of the new version, too"
        )
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
            f"{len(pairs) - len(rows):,} of {len(pairs):,} test segments stand in the training data of the champion, "
            f"version {champion.number}; a comparison would favour it (gate.max_shared is {most:g})",
            (rule,),
        )
    return rows, rule


def _performance(
    contest: EvaluationSet, hypotheses: Sequence[str], contestant: LoadedVersion, params: Params
) -> Performance:
    segments = Segments(
        contest.sources, contest.references, hypotheses, contest.directions, params.placeholders.build()
    )
    return Performance(segments, score(segments, task=params.task, settings=params.evaluate), contestant.size)


def _keep(store: Store, version: Any, before: str | None, verdict: Verdict, settings: GateSettings) -> None:
    """The verdict as tags, as artifacts of the run, and for whoever ran the stage."""
    name, number = version.name, str(version.version)
    files = {
        "verdict.json": json.dumps({"model": name, "version": number, "champion": before} | verdict.record(), indent=2)
        + "\n",
        "verdict.md": markdown(f"{name} version {number}", verdict),
    }
    rules = {rule.name.replace(" ", "_"): explain_rule(rule) for rule in verdict.rules}
    rules[_BOUNDS] = settings.model_dump_json()
    if before is not None:
        rules["champion"] = before
    keep_verdict(store, version, verdict.promoted, verdict.reason, rules, files)
    for file, text in files.items():
        places.write_text(places.GATE / file, text)


def _other_bounds(version: Any, settings: GateSettings) -> list[str]:
    """How the gate's settings differ from those that the version was judged by; nothing where these are not known."""
    kept, now = version.tags.get(f"gate.{_BOUNDS}"), settings.model_dump(mode="json")
    then = now if kept is None else json.loads(kept)
    return [f"gate.{name} was {then.get(name)}, is {value}" for name, value in now.items() if then.get(name) != value]


def keep_texts(params: Params) -> Path:
    """Write the keys of the texts that this result was trained on, for later comparisons; return the file."""
    texts = TrainingTexts.of(read_split(places.CORPUS / "train.tsv"), params.languages.directions)
    texts.save(places.GATE / TEXTS)
    return places.GATE / TEXTS


def _telling(listen: Listener, who: str) -> Listener:
    def tell(progress: Progress) -> None:
        listen(progress._replace(note=who))

    return tell
