import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seqloom import places
from seqloom.cli import main as cli
from seqloom.cli import translate
from seqloom.translation.texts import TextTranslator

Fails = Callable[..., str]


def enter(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


def texts(translator: TextTranslator, *given: str) -> list[str]:
    return [found.text for found in translator.translate(given)]


def output_lines(capfdbinary: pytest.CaptureFixture[bytes]) -> list[str]:
    return capfdbinary.readouterr().out.decode().split("\n")


def test_the_champion_translates_texts(
    workspace: Path, registered: TextTranslator, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    cli.main(["translate", "Turn on the light", "Hello {name}"])
    printed = capfdbinary.readouterr()
    found = registered.translate(["Turn on the light", "Hello {name}"])
    assert printed.out.decode().splitlines() == [each.text for each in found]
    cut = sum(each.cut for each in found)  # an untrained model rarely writes EOS
    assert cut
    assert printed.err.decode().startswith("seqloom: 2 texts translated; 2 with flags: ")
    assert f"{cut} cut" in printed.err.decode()


@pytest.mark.parametrize("model", ["models:/seqloom-en-de/1", "models:/seqloom-en-de@candidate"])
def test_a_version_can_be_chosen(
    workspace: Path, registered: TextTranslator, capfdbinary: pytest.CaptureFixture[bytes], model: str
) -> None:
    cli.main(["translate", "--model", model, "Turn on"])
    assert capfdbinary.readouterr().out.decode() == registered.translate(["Turn on"])[0].text + "\n"


def test_each_line_is_translated_in_order(
    workspace: Path,
    registered: TextTranslator,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    monkeypatch.setattr(translate, "CHUNK", 2)
    enter(monkeypatch, "Turn on\r\n\n  \nKüche\nlast without a line end".encode())
    cli.main(["translate"])
    lines = capfdbinary.readouterr().out.decode().split("\n")
    assert lines == [*texts(registered, "Turn on", "", "  ", "Küche", "last without a line end"), ""]
    assert lines[1:3] == ["", "  "]


def test_a_model_folder_and_a_beam_width_can_be_given(
    workspace: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    greedy = TextTranslator.load(places.CANDIDATE, "cpu")
    greedy = greedy.with_search(greedy.search.model_copy(update={"beam": 1}))
    cli.main(["translate", "--model", str(places.CANDIDATE), "--beam", "1", "--device", "cpu", "Hi"])
    assert capfdbinary.readouterr().out.decode() == greedy.translate(["Hi"])[0].text + "\n"


def test_input_and_output_can_be_files(workspace: Path, registered: TextTranslator, tmp_path: Path) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_text("Turn on\n\nHello\n", encoding="utf-8")
    cli.main(["translate", "--input", str(source), "--output", str(target)])
    assert target.read_text(encoding="utf-8").splitlines() == texts(registered, "Turn on", "", "Hello")
    assert {path.name for path in tmp_path.iterdir()} == {"in.txt", "out.txt"}


def test_a_failed_run_keeps_the_old_output_file(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Fails
) -> None:
    monkeypatch.setattr(translate, "CHUNK", 1)
    source, target = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_bytes(b"Turn on\ncaf\xe9\n")
    target.write_text("old")
    files = ["--input", str(source), "--output", str(target)]
    assert "in.txt: line 2: not valid UTF-8" in fails("translate", "--model", str(places.CANDIDATE), *files)
    assert target.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"in.txt", "out.txt"}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("models:/seqloom-en-de@best", "valid are models:/seqloom-en-de with one of @candidate, @champion, /1"),
        ("models:/seqloom-en-de/7", "/7 names no version"),
        ("models:/seqloom-en-de", "with one of @candidate"),
        ("models:/seqloom-en-fr@champion", "registered are seqloom-en-de"),
        ("models:seqloom-en-de", "valid are models:/NAME@ALIAS"),
        ("models:/it's/1", "valid are models:/NAME@ALIAS"),
        ("no/such/folder", "neither a model folder nor a registered model"),
        ("metrics", "is missing"),
    ],
)
def test_a_missing_model_is_an_error(workspace: Path, fails: Fails, model: str, message: str) -> None:
    assert message in fails("translate", "--model", model, "Hi")


def test_tsv_output_can_be_read_as_a_corpus(
    workspace: Path,
    registered: TextTranslator,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    enter(monkeypatch, b"Turn\ton\n\n  \nHello\n12\n")
    cli.main(["translate", "--tsv"])
    first, second = registered.translate(["Turn\ton", "Hello"])
    rows = [line.split("\t") for line in output_lines(capfdbinary)]
    assert rows == [
        ["Turn on", " ".join(first.text.split()), ",".join(first.flags), f"{first.confidence:.4f}"],
        ["Hello", second.text, ",".join(second.flags), f"{second.confidence:.4f}"],
        ["12", "12", "copied", ""],
        [""],
    ]


def test_a_text_that_is_not_utf8_is_an_error(workspace: Path, fails: Fails) -> None:
    assert "TEXT 2: not valid UTF-8" in fails("translate", "Turn on", "caf\udce9 now")


def test_line_breaks_within_a_text_are_kept(workspace: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    cli.main(["translate", "Turn on\n\n  Turn on\r\n12:30"])
    lines = output_lines(capfdbinary)
    assert lines[0] == lines[2].removeprefix("  ").removesuffix("\r")
    assert lines[2].startswith("  ")
    assert lines[1:2] + lines[3:] == ["", "12:30", ""]


def test_each_line_of_an_n_best_list_is_one_line(workspace: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    cli.main(["translate", "--n-best", "2", "Turn on\n12"])
    assert [line.split("\t")[0] for line in output_lines(capfdbinary)] == ["1", "1", ""]


def test_the_summary_says_if_there_are_no_flags(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    enter(monkeypatch, b"\n")
    cli.main(["translate"])
    assert capfdbinary.readouterr().err.decode() == "seqloom: 1 text translated; no flags\n"


def test_n_best_lists_have_line_numbers(
    workspace: Path, registered: TextTranslator, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    cli.main(["translate", "--n-best", "2", "Turn on", "Hello"])
    expected = [
        f"{number}\t{each.score:.4f}\t{' '.join(each.text.split())}"
        for number, found in enumerate(registered.hypotheses(["Turn on", "Hello"], 2), 1)
        for each in found
    ]
    assert len(expected) == 4
    assert output_lines(capfdbinary) == [*expected, ""]


def test_an_n_best_list_longer_than_the_beam_is_an_error(workspace: Path, fails: Fails) -> None:
    assert "3 translations per text are requested, but search.beam is 2" in fails("translate", "--n-best", "3", "Hi")


def test_every_translation_begins_with_the_prefix(workspace: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    cli.main(["translate", "--prefix", "Licht", "Turn on", "Hello"])
    assert all(line.startswith("Licht") for line in output_lines(capfdbinary)[:-1])


def test_sampling_is_determined_by_the_seed(workspace: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    draws = []
    for seed in ("1", "1", "2"):
        cli.main(["translate", "--method", "sampling", "--temperature", "2", "--seed", seed, "Turn on the light"])
        draws.append(output_lines(capfdbinary))
    assert draws[0] == draws[1] != draws[2]


def test_minimum_bayes_risk_can_be_used(workspace: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    cli.main(["translate", "--method", "mbr", "--samples", "4", "Turn on"])
    assert len(output_lines(capfdbinary)) == 2


def test_an_ensemble_of_a_model_with_itself_gives_the_same_translations(
    workspace: Path, registered: TextTranslator, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    cli.main(
        ["translate", "--model", "models:/seqloom-en-de/1", "--model", "models:/seqloom-en-de@champion", "Turn on"]
    )
    assert output_lines(capfdbinary) == [*texts(registered, "Turn on"), ""]


def test_attention_is_drawn_to_a_file(
    workspace: Path, tmp_path: Path, registered: TextTranslator, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    cli.main(["translate", "--attention", str(tmp_path / "out.png"), "Turn on"])
    assert output_lines(capfdbinary) == [*texts(registered, "Turn on"), ""]
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--beam", "0"], "--beam: input should be greater than or equal to 1, got 0"),
        (["--beam", "1000"], "--beam: input should be less than or equal to 256, got 1000"),
        (["--method", "guess"], "--method: input should be 'beam', 'sampling', 'mbr' or 'generate', got 'guess'"),
        (["--top-p", "1.5"], "--top-p: input should be less than or equal to 1, got 1.5"),
        (["--method", "generate"], "which only a pretrained model supports"),
        (["--to", "fr"], "the model does not write 'fr'; it writes de"),
    ],
)
def test_invalid_search_options_are_errors(workspace: Path, fails: Fails, arguments: list[str], message: str) -> None:
    assert message in fails("translate", *arguments, "Hi")
