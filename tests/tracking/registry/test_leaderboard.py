import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqloom.errors import EvaluationError, RegistryError
from seqloom.tracking.client.store import Store, connect, experiment_id
from seqloom.tracking.registry import leaderboard, leaderboard_entries, leaderboard_records
from seqloom.tracking.registry.leaderboard import Board, LeaderboardQuery
from seqloom.tracking.registry.leaderboard_entries import ExternalSystem, read_external
from seqloom.tracking.registry.leaderboard_page import page
from seqloom.tracking.registry.leaderboard_records import read_results
from tests.scored_runs import EXPERIMENT, GOOD, MODEL, POOR, REFERENCES, log_run, recorded_score, register
from tests.workspaces import give_store

PLACE = Path("reports/leaderboard")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    give_store(tmp_path)
    return connect(tmp_path, create=False)


def board(store: Store | None, **asked: Any) -> Board:
    found = leaderboard.leaderboard(store, PLACE, LeaderboardQuery(EXPERIMENT, MODEL, **asked))
    assert found is not None
    return found


def files() -> dict[str, bytes]:
    return {str(file.relative_to(PLACE)): file.read_bytes() for file in PLACE.rglob("*") if file.is_file()}


def external(name: str, texts: list[str]) -> ExternalSystem:
    return ExternalSystem(name, texts, f"{name}.txt")


def test_rows_are_sorted_by_the_scores_of_their_runs(store: Store) -> None:
    poor, good = log_run(store, "poor", POOR), log_run(store, "good", GOOD)
    register(store, poor, champion=True)
    found = board(store)
    assert [(row.rank, row.title, row.champion) for row in found.rows] == [
        (1, "good", False), (2, "seqloom-en-de/1", True)
    ]  # fmt: skip
    assert [row.result.leader.score for row in found.rows] == [recorded_score(store, run) for run in (good, poor)]
    pair = found.rows[0].difference
    assert pair is not None
    assert pair.gain == pytest.approx(recorded_score(store, good) - recorded_score(store, poor))
    assert pair.low < pair.gain < pair.high
    assert pair.p < 0.05
    assert found.rows[1].difference is None
    assert found.reference.title == "seqloom-en-de/1"


def test_a_record_holds_no_path(store: Store, tmp_path: Path) -> None:
    register(store, log_run(store, "good", GOOD), champion=True)
    log_run(store, "poor", POOR)
    board(store)
    (folder,) = {name.partition("/")[0] for name in files()}
    assert sorted(name.count("/") for name in files()) == [1, 1, 2]
    for name, content in files().items():
        assert str(tmp_path).encode() not in content
        record = json.loads(content)
        assert record["test_sha256"].startswith(folder)
        if "/pairs/" not in name:
            assert record["fingerprint"].startswith(Path(name).stem)
    (result,) = [each for each in read_results(PLACE) if each.name == "good"]
    assert (result.model, result.version, result.experiment, result.device) == (
        MODEL,
        "1",
        EXPERIMENT,
        "cpu (2 threads)",
    )
    assert (result.parameters, result.size_bytes, result.training_tokens_per_s) == (872320, 3500000, 4000)
    assert result.costs == {"seconds": 12.5, "joules.cpu": 7200}
    assert result.segments_per_s == 45
    assert len(result.hypotheses_sha256 or "") == len(result.params_sha256 or "") == 64
    assert result.leader.signature.startswith("nrefs:1|bs:200|seed:1|")


def test_the_second_time_nothing_is_read_from_runs_or_computed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    register(store, log_run(store, "good", GOOD), champion=True)
    log_run(store, "poor", POOR)
    first, written = board(store), files()

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(leaderboard_entries, "read_artifact", never)
    monkeypatch.setattr(leaderboard_entries, "read_texts", never)
    monkeypatch.setattr(leaderboard, "compare", never)
    assert board(store) == first
    assert files() == written


def test_a_new_champion_is_compared_with_all_systems(store: Store) -> None:
    numbers = [register(store, log_run(store, name, texts)) for name, texts in (("good", GOOD), ("poor", POOR))]
    store.client.set_registered_model_alias(MODEL, "champion", numbers[0])
    before, written = board(store), files()
    store.client.set_registered_model_alias(MODEL, "champion", numbers[1])
    after = board(store)
    assert written.items() <= files().items()
    ours, theirs = before.rows[1].difference, after.rows[0].difference
    assert ours is not None
    assert theirs is not None
    assert ours.gain == -theirs.gain
    assert ours.p == theirs.p


DAMAGES: tuple[Callable[[dict[str, Any]], object], ...] = (
    lambda record: record["scores"]["bleu"].update(score=99.0),
    lambda record: record.update(test_sha256="b" * 64),
    lambda record: record.update(fingerprint="b" * 64),
    lambda record: record.update(surprise=1),
    lambda record: record.pop("scores"),
    lambda record: record.pop("sha256"),
)


def test_a_modified_record_is_refused(store: Store) -> None:
    log_run(store, "good", GOOD)
    board(store)
    (file,) = PLACE.glob("*/*.json")
    whole = file.read_text()
    for damage in DAMAGES:
        record = json.loads(whole)
        damage(record)
        file.write_text(json.dumps(record))
        with pytest.raises(RegistryError, match=r"restore it from Git, or delete it") as error:
            board(store)
        assert str(file) in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["", "[]", "{", "null"])
def test_an_invalid_record_is_refused(store: Store, content: str) -> None:
    (PLACE / "a").mkdir(parents=True)
    (PLACE / "a" / "b.json").write_text(content)
    with pytest.raises(RegistryError, match="leaderboard record"):
        board(store)


def test_an_existing_file_is_never_rewritten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    log_run(store, "good", GOOD)
    board(store)
    (file,) = PLACE.glob("*/*.json")
    before = file.read_bytes()
    (result,) = read_results(PLACE)
    leaderboard_records.write_result(PLACE, result.model_copy(update={"name": "other"}))
    assert file.read_bytes() == before
    # Another process writes the file between the check and the link.
    monkeypatch.setattr(Path, "exists", lambda _: False)
    leaderboard_records.write_result(PLACE, result.model_copy(update={"name": "other"}))
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_file_system_without_hard_links_works(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    log_run(store, "good", GOOD)
    board(store)
    assert [result.name for result in read_results(PLACE)] == ["good"]


def test_each_fingerprint_has_one_row(store: Store) -> None:
    register(store, log_run(store, "good", GOOD, fingerprint="a" * 64), champion=True)
    again = log_run(store, "good again", GOOD, fingerprint="a" * 64)
    register(store, again)
    (row,) = board(store).rows
    assert row.entry is not None
    assert row.entry.versions == ("seqloom-en-de/2", "seqloom-en-de/1")
    assert row.champion
    assert len(files()) == 1


def test_versions_of_other_experiments_are_listed_but_not_their_other_runs(store: Store) -> None:
    register(store, log_run(store, "good", GOOD, experiment="elsewhere"), champion=True)
    log_run(store, "poor", POOR, experiment="elsewhere")
    log_run(store, "home", POOR)
    assert [row.title for row in board(store).rows] == ["seqloom-en-de/1", "home"]


def test_runs_without_scores_are_counted(store: Store) -> None:
    log_run(store, "good", GOOD)
    for status in ("FINISHED", "FAILED", "RUNNING"):
        run_id = store.client.create_run(experiment_id(store, EXPERIMENT)).info.run_id
        if status != "RUNNING":
            store.client.set_terminated(run_id, status)
    assert board(store).unscored == 1
    assert len(board(store).rows) == 1


def test_without_translations_there_is_no_significance(store: Store) -> None:
    register(store, log_run(store, "good", GOOD), champion=True)
    log_run(store, "bare", POOR, texts=False)
    broken = log_run(store, "broken", POOR, texts=False)
    store.client.log_text(broken, "source\ttext\na\tb\n", "report/hypotheses.tsv")
    found = board(store)
    assert [row.difference for row in found.rows] == [None] * 3
    assert {row.title for row in found.rows} == {"seqloom-en-de/1", "bare", "broken"}


def test_without_a_champion_the_best_system_is_the_reference(store: Store) -> None:
    log_run(store, "poor", POOR)
    log_run(store, "good", GOOD)
    found = board(store)
    assert (found.reference.title, found.reference.champion) == ("good", False)
    assert found.rows[1].difference is not None
    assert found.champion_on is None


def test_equal_scores_share_a_rank(store: Store) -> None:
    for name, texts in (("b", GOOD), ("a", GOOD), ("poor", POOR)):
        log_run(store, name, texts)
    assert [(row.rank, row.title) for row in board(store).rows] == [(1, "a"), (1, "b"), (3, "poor")]


def test_test_sets_do_not_mix(store: Store) -> None:
    register(store, log_run(store, "good", GOOD[:12], references=REFERENCES[:12]), champion=True)
    for name in ("poor", "other"):
        log_run(store, name, POOR)
    found = board(store)
    assert [row.title for row in found.rows] == ["seqloom-en-de/1"]
    ((test, count),) = found.left_out.items()
    assert count == 2
    other = board(store, test=test[:6].upper())
    assert {row.title for row in other.rows} == {"poor", "other"}
    assert other.champion_on == found.test_sha256
    with pytest.raises(RegistryError, match=rf"'xyz' is not a test set .*{found.test_sha256[:16]} \(1\)"):
        board(store, test="xyz")
    with pytest.raises(RegistryError, match="matches several"):
        board(store, test="")


def test_without_a_champion_the_test_set_of_this_folder_is_shown(store: Store) -> None:
    log_run(store, "good", GOOD[:12], references=REFERENCES[:12])
    for name in ("poor", "other"):
        log_run(store, name, POOR)
    most = board(store, here="f" * 64)
    assert most.segments == 24
    assert board(store, here=next(iter(most.left_out))).segments == 12


def test_scores_with_another_signature_are_not_ranked(store: Store) -> None:
    register(store, log_run(store, "good", GOOD), champion=True)
    log_run(store, "old", POOR, signature="nrefs:1|bs:200|seed:1|case:mixed|eff:no|tok:intl|smooth:exp|version:2.0")
    log_run(store, "other seed", POOR, seed=2)
    found = board(store)
    assert [row.title for row in found.rows] == ["seqloom-en-de/1", "other seed"]
    assert [(row.rank, row.title) for row in found.apart] == [(None, "old")]
    assert "tok:intl" in page(found)


def test_several_directions_are_ranked_by_their_mean(store: Store) -> None:
    run_id = log_run(store, "both", GOOD, targets=["de", "fr"])
    log_run(store, "poor", POOR, targets=["de", "fr"])
    found = board(store)
    (first, second) = found.rows
    assert first.result.leader.score == recorded_score(store, run_id)
    each = [scores["bleu"].score for scores in first.result.by_direction.values()]
    assert sum(each) / 2 == pytest.approx(first.result.leader.score, abs=1e-3)
    assert second.difference is not None
    assert "mean of<br>en-de" in page(found)


def test_a_summary_is_ranked_by_rouge(store: Store) -> None:
    log_run(store, "poor", POOR, task="summarization")
    run_id = log_run(store, "good", GOOD, task="summarization")
    found = board(store, external=[external("copy", POOR)])
    assert found.leading == "rougeL"
    assert [row.title for row in found.rows] == ["good", "copy", "poor"]
    assert found.rows[0].result.leader.score == recorded_score(store, run_id, "rougeL")


def test_an_external_system_with_the_translations_of_a_run_has_its_score(store: Store) -> None:
    run_id = log_run(store, "good", GOOD)
    register(store, run_id, champion=True)
    found = board(store, external=[external("copy", GOOD)])
    assert [(row.rank, row.title, row.kept) for row in found.rows] == [(1, "seqloom-en-de/1", True), (1, "copy", False)]
    copy = found.rows[1]
    assert copy.result.scores == found.rows[0].result.scores
    assert copy.difference is not None
    assert (copy.difference.gain, copy.difference.p) == (0, 1)
    assert not [name for name in files() if "pairs" in name]
    assert len(board(store).rows) == 1


def test_a_kept_external_system_stays(store: Store) -> None:
    register(store, log_run(store, "good", GOOD), champion=True)
    first = board(store, external=[external("other", POOR)], keep=True)
    written = files()
    assert board(store) == first
    assert board(store, external=[external("other", POOR)], keep=True) == first
    assert files() == written
    with pytest.raises(RegistryError, match="on the leaderboard already, as other"):
        board(store, external=[external("new name", POOR)])
    with pytest.raises(RegistryError, match="another system on the leaderboard has this name"):
        board(store, external=[external("other", GOOD)])
    number = register(store, log_run(store, "better", REFERENCES))
    store.client.set_registered_model_alias(MODEL, "champion", number)
    (row,) = [row for row in board(store).rows if row.title == "other"]
    assert row.difference is not None
    assert row.difference.theirs == board(store).reference.result.key


def test_an_external_system_needs_one_line_per_segment(store: Store) -> None:
    log_run(store, "good", GOOD)
    with pytest.raises(EvaluationError, match=r"short.txt: has 3 lines, the test set 24 segments"):
        board(store, external=[external("short", GOOD[:3])])


def test_an_external_system_needs_a_run_that_logged_the_test_set(store: Store) -> None:
    log_run(store, "good", GOOD, texts=False)
    with pytest.raises(RegistryError, match="no run in this store logged the texts"):
        board(store, external=[external("other", GOOD)])


def test_records_suffice_without_a_store(store: Store) -> None:
    register(store, log_run(store, "good", GOOD), champion=True)
    board(store, external=[external("other", POOR)], keep=True)
    found = board(None)
    assert [(row.rank, row.title) for row in found.rows] == [(1, "good"), (2, "other")]
    assert found.rows[1].difference is not None
    assert leaderboard.leaderboard(None, PLACE / "nowhere", LeaderboardQuery(EXPERIMENT, MODEL)) is None


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"\xef\xbb\xbfa\n\n", ["a", ""]),
        ("a\u2028b\n".encode(), ["a\u2028b"]),
        (b"", []),
    ],
)
def test_each_line_of_an_external_file_is_a_translation(tmp_path: Path, content: bytes, texts: list[str]) -> None:
    (tmp_path / "a=b.txt").write_bytes(content)
    assert read_external(f" x =={tmp_path}"[:3] + f"={tmp_path / 'a=b.txt'}").hypotheses == texts


def test_the_file_of_an_external_system_must_be_utf8(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a\nb\n\xff\n")
    with pytest.raises(EvaluationError, match="x: line 3 is not UTF-8"):
        read_external(f"x={tmp_path / 'x'}")
    with pytest.raises(EvaluationError, match="cannot be read: No such file"):
        read_external(f"x={tmp_path / 'y'}")
    for named in ("x", "=x", "x=", f"{'x' * 61}=x", "a\x1bb=x"):
        with pytest.raises(EvaluationError, match="must be NAME=FILE"):
            read_external(named)


def test_the_page_escapes_text_and_has_no_external_resources(store: Store) -> None:
    register(store, log_run(store, "good", GOOD), champion=True)
    log_run(store, "<b>poor</b>", POOR)
    html = page(board(store, external=[external('<i>other "', ["", *POOR[1:]])]))
    assert "&lt;b&gt;poor&lt;/b&gt;" in html
    assert "&lt;i&gt;other &quot;" in html
    assert html.count('<svg class="interval"') == 3
    assert html.count('class="champion"') == 1
    for reaching_out in ("<script", "src=", "href=", "url(", "@import", "<b>", "<i>"):
        assert reaching_out not in html
