"""The commands of the README and of the tutorial, run in a fresh clone, offline, with a small TSV file of one's own.

Every command is run except the `make` targets: continuous integration runs `make check` and `make test`; what `make
run` starts is run here, without the installation before it.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.commands import seqloom
from tests.small_clone import README, ROOT, STAGES, Clone, clone_path, use_own_pairs
from tests.templates import give_prefect_database

pytestmark = [pytest.mark.slow, pytest.mark.drill]


def documented_commands() -> list[str]:
    """Return the lines that a user types, without their comments."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (README, ROOT / "docs" / "TUTORIAL.md"))
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", pages, re.DOTALL)
    lines = [line.strip().removeprefix("$ ").split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    typed = [line for line in lines if re.match(r"(make|git|\.venv/bin/\S+|export)\b", line)]
    return list(dict.fromkeys(typed))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    folder = tmp_path_factory.mktemp("walkthrough") / "clone"
    folder.mkdir()
    clone = Clone(folder)
    use_own_pairs(clone)
    give_prefect_database(folder / ".prefect")
    clone.commit("Use my own pairs")
    return clone


def test_the_flow_registers_a_model_and_a_second_one_does_nothing(clone: Clone) -> None:
    first = clone.type(".venv/bin/python -m pipelines train")
    for stage in STAGES:
        assert f"── {stage} ──" in first
    for words in ("pairs kept", "BLEU", "chrF", "TER", "seqloom-en-de version 1", "->", "Next"):
        assert words in first
    second = clone.type(".venv/bin/python -m pipelines train")
    assert second.startswith("nothing to do: ")
    for stage in STAGES:
        assert re.search(rf"^  {stage} +(up to date|switched off)$", second, re.MULTILINE)
    assert clone.type(".venv/bin/dvc status").strip() == "Data and pipelines are up to date."
    assert "is cached" not in clone.type(".venv/bin/dvc repro")
    changed = {line[3:] for line in clone.status()}
    assert changed == {
        "dvc.lock", "metrics/corpus.json", "metrics/evaluation.json", "metrics/export.json",
        "metrics/registration.json", "metrics/training.json", "plots/lengths.csv", "plots/training.csv",
    }  # fmt: skip
    clone.commit("Train on my pairs")


def test_every_command_of_the_readme_and_the_tutorial_works(clone: Clone) -> None:
    if not (clone.folder / "dvc.lock").exists():
        pytest.fail("the flow did not run before; run this file as a whole")
    typed = [line for line in documented_commands() if not re.match(r"make|git clone|\.venv/bin/mlflow", line)]
    assert any("exp run" in line for line in typed)
    given = "the light is red\n\nthe new house\n"
    for line in typed:
        program, *words = shlex.split(line)
        if program == ".venv/bin/seqloom":  # other tests of this file run it as a process
            seqloom(clone.folder, *words, given=given)
        else:
            clone.type(line, given=given)
    assert "seed: 2" in clone.type("git diff params.yaml")
    clone.commit("Keep the other seed")


def test_ctrl_c_on_a_terminal_ends_the_flow_at_once_and_quietly(clone: Clone) -> None:
    params = clone.folder / "params.yaml"
    kept = params.read_text(encoding="utf-8")
    params.write_text(kept.replace("seed: 2", "seed: 3"), encoding="utf-8")
    flow = subprocess.Popen(
        [sys.executable, "-u", "-m", "pipelines", "train"], cwd=clone.folder, env=clone.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    watchdog = threading.Timer(120, flow.kill)
    watchdog.start()
    assert flow.stdout is not None
    while "── train_tokenizer" not in flow.stdout.readline():
        assert flow.poll() is None
    os.killpg(flow.pid, signal.SIGINT)  # as a terminal does, to every foreground process
    rest, _ = flow.communicate()
    watchdog.cancel()
    assert flow.returncode == 130, rest
    assert rest.rstrip().endswith("interrupted; the same command continues from here")
    assert "Traceback" not in rest
    params.write_text(kept, encoding="utf-8")
    clone.type(".venv/bin/dvc checkout --quiet")
    clone.type("git checkout --quiet .")
    assert clone.type(".venv/bin/dvc status").strip() == "Data and pipelines are up to date."


def test_translate_keeps_lines_and_info_knows_the_version(clone: Clone) -> None:
    out = clone.type(".venv/bin/seqloom translate", given="the light\n\nthe old door is open\n")
    assert out.count("\n") == 3
    assert out.split("\n")[1] == ""
    (version,) = [v for v in json.loads(clone.type(".venv/bin/seqloom info --json"))["versions"] if v["version"] == "1"]
    assert version["aliases"]


def test_another_clone_pulls_the_results_and_has_nothing_to_do(clone: Clone, tmp_path: Path) -> None:
    clone.type(f"git clone --quiet {clone.folder} {tmp_path / 'second'}")
    second = object.__new__(Clone)
    second.folder = tmp_path / "second"
    second.environment = clone.environment | {"PYTHONPATH": clone_path(second.folder)}
    shutil.copy(clone.folder / "data/local/pairs.tsv", second.folder / "data/local/pairs.tsv")
    clone.type(f".venv/bin/dvc remote add --force --local shared {tmp_path / 'remote'}")
    clone.type(".venv/bin/dvc push --remote shared")
    second.type(f".venv/bin/dvc remote add --local shared {tmp_path / 'remote'}")
    second.type(".venv/bin/dvc pull --remote shared")
    assert second.type(".venv/bin/dvc status").strip() == "Data and pipelines are up to date."
    assert "Running stage" not in second.type(".venv/bin/dvc repro")
    assert second.status() == []


def test_the_same_inputs_give_the_same_lock(clone: Clone, tmp_path: Path) -> None:
    again = tmp_path / "again"
    clone.type(f"git clone --quiet {clone.folder} {again}")
    third = object.__new__(Clone)
    third.folder = again
    third.environment = clone.environment | {"PYTHONPATH": clone_path(again)}
    shutil.copy(clone.folder / "data/local/pairs.tsv", again / "data/local/pairs.tsv")
    lock = (again / "dvc.lock").read_text(encoding="utf-8")
    third.type(".venv/bin/dvc repro --force")
    assert (again / "dvc.lock").read_text(encoding="utf-8") == lock
    assert third.status() == []
