"""What `seqloom info`, `seqloom watch` and `seqloom guard` print with --json; the flows read it."""

from typing import TypedDict


class ScoreRecord(TypedDict):
    """A score with its 95% interval."""

    score: float
    low: float | None
    high: float | None


class VersionRecord(TypedDict):
    """A registered version; None where the registry has no value."""

    name: str
    version: str
    aliases: list[str]
    fingerprint: str | None
    run_id: str | None
    created: str  # ISO 8601, UTC
    direction: str | None
    bleu: ScoreRecord | None
    chrf: ScoreRecord | None
    ter: ScoreRecord | None
    pairs: int | None  # of the training split
    corpora: str | None
    test_sha256: str | None
    commit: str | None
    verdict: str | None
    task: str | None
    family: str | None  # model.name
    rouge_l: ScoreRecord | None


class InfoOutput(TypedDict):
    """`seqloom info --json`."""

    versions: list[VersionRecord]


class SourceRecord(TypedDict):
    """A source of params.yaml: whether it has changed, and why."""

    corpus: str
    kind: str
    changed: bool
    known: str | None
    found: str | None
    why: str


class WatchOutput(TypedDict):
    """`seqloom watch --json`; `changed` is true if any source has changed."""

    sources: list[SourceRecord]
    changed: bool
    pinned: list[str]  # corpora whose new state was written into params.yaml


class FindingRecord(TypedDict):
    """A number of the new data, that of the last version, and the bounds; None is no bound."""

    what: str
    now: float
    before: float
    low: float | None
    high: float | None
    ok: bool


class GuardOutput(TypedDict):
    """`seqloom guard --json`; `baseline` is the version compared with, None if nothing is registered."""

    ok: bool
    baseline: str | None
    findings: list[FindingRecord]
