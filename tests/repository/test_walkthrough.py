"""What the README tells a newcomer to type, typed: in a fresh clone, offline, with a small TSV of one's own.

Every command in the README is run here, but for the four `make` targets: continuous integration runs `make check` and
`make test`; what `make run` and `make ui` start is run here, without the installation before it.
"""

import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
WORDS = {
    "the": "das", "light": "Licht", "window": "Fenster", "door": "Tor", "is": "ist", "open": "offen", "red": "rot",
    "new": "neu", "old": "alt", "house": "Haus", "big": "groß", "small": "klein", "and": "und", "book": "Buch",
}  # fmt: skip
SMALL: dict[str, Any] = {
    "prepare": {"max_leakage": 1.0},
    "tokenizer": {"vocab_size": 300, "slots": 2},
    "model": {"transformer": {"width": 16, "feed_forward": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}},
    "train": {
        "device": "cpu", "max_steps": 12, "warmup_steps": 2, "validate_every": 6, "report_every": 3, "average": 2,
        "checkpoint_every": 6, "validation_segments": 4,
    },
    "search": {"beam": 2, "max_length_ratio": 1.0, "max_length_extra": 2},
    "evaluate": {"bootstrap": 100},
}  # fmt: skip
STAGES = [
    "download_corpus", "prepare_corpus", "download_pretrained", "train_tokenizer", "train_model", "evaluate_model",
    "register_model",
]  # fmt: skip

pytestmark = pytest.mark.slow


def readme_commands() -> list[str]:
    """The lines that a person would type, without their comments."""
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.strip().removeprefix("$ ").split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if re.match(r"(make|git|\.venv/bin/\S+|export)\b", line)]


class Clone:
    """A clone of the repository as it stands in the working tree, and a way to type commands into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, files.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        (folder / "dvc.lock").unlink(missing_ok=True)  # the lock of the default run; this one has other inputs
        home = folder.parent / "home"
        home.mkdir(exist_ok=True)
        self.environment = os.environ | {
            "HOME": str(home), "PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder}", "OMP_NUM_THREADS": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "A Newcomer",
            "GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": "newcomer@example.org",
        }  # fmt: skip
        for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "PREFECT_HOME"):
            self.environment.pop(name, None)
        self.type("git init --quiet")
        self.commit("Begin")

    def commit(self, message: str) -> None:
        self.type("git add --all")
        self.type(f"git commit --quiet --message '{message}'")

    def type(self, line: str, *, given: str | None = None) -> str:
        """Run one line as a person would, and return what it writes; what is in .venv/bin is this interpreter's."""
        words = shlex.split(line)
        if words[0].startswith(".venv/bin/"):
            program = words[0].removeprefix(".venv/bin/")
            module = {"dvc": ["-m", "dvc"], "seqloom": ["-m", "seqloom.cli"], "python": []}
            words = [sys.executable, *module[program], *words[1:]]
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, input=given, capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def status(self) -> list[str]:
        """What git finds changed or new."""
        return self.type("git status --porcelain --untracked-files=all").splitlines()


def update(tree: dict[str, Any], changes: dict[str, Any]) -> None:
    """Put nested settings over others."""
    for key, value in changes.items():
        if isinstance(value, dict):
            update(tree[key], value)
        else:
            tree[key] = value


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    folder = tmp_path_factory.mktemp("walkthrough") / "clone"
    folder.mkdir()
    clone = Clone(folder)
    draw = random.Random(4)
    pairs = set()
    while len(pairs) < 150:
        words = draw.choices(list(WORDS), k=draw.randint(2, 7))
        pairs.add((" ".join(words), " ".join(WORDS[word] for word in words)))
    text = "".join(f"{source}\t{target}\n" for source, target in sorted(pairs))
    (folder / "data/local/pairs.tsv").write_text(text, encoding="utf-8")
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    params["corpora"] = yaml.safe_load(own_data())["corpora"]
    params["train"]["lr"] = float(params["train"]["lr"])
    update(params, SMALL)
    params["prepare"]["split"].update({"valid": 0.1, "test": 0.1})
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    clone.commit("Use my own pairs")
    return clone


def own_data() -> str:
    """The README's block that brings one's own data."""
    blocks = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return next(block for block in blocks if block.startswith("corpora:"))


def test_the_flow_registers_a_model_and_a_second_one_does_nothing(clone: Clone) -> None:
    first = clone.type(".venv/bin/python -m pipelines train")
    for stage in STAGES:
        assert f"── {stage} ──" in first
    for said in ("pairs kept", "BLEU", "chrF", "TER", "seqloom-en-de version 1", "->", "Next"):
        assert said in first
    second = clone.type(".venv/bin/python -m pipelines train")
    for stage in STAGES:
        assert f"{stage}: already up to date" in second
    assert clone.type(".venv/bin/dvc status").strip() == "Data and pipelines are up to date."
    assert "is cached" not in clone.type(".venv/bin/dvc repro")
    changed = {line[3:] for line in clone.status()}
    assert changed == {
        "dvc.lock", "metrics/corpus.json", "metrics/evaluation.json", "metrics/registration.json",
        "metrics/training.json", "plots/lengths.csv", "plots/training.csv",
    }  # fmt: skip
    clone.commit("Train on my pairs")


def test_every_command_of_the_readme_works(clone: Clone) -> None:
    if not (clone.folder / "dvc.lock").exists():
        pytest.fail("the flow did not run before; run this file as a whole")
    typed = [line for line in readme_commands() if not re.match(r"make|git clone|\.venv/bin/mlflow", line)]
    assert any("exp run" in line for line in typed)
    for line in typed:
        clone.type(line, given="the light is red\n\nthe new house\n")
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
    os.killpg(flow.pid, signal.SIGINT)  # as a terminal does: the whole foreground
    rest, _ = flow.communicate()
    watchdog.cancel()
    assert flow.returncode == 130, rest
    assert rest.rstrip().endswith("interrupted; the same command goes on from here")
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
    second.environment = clone.environment | {"PYTHONPATH": f"{second.folder / 'src'}{os.pathsep}{second.folder}"}
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
    third.environment = clone.environment | {"PYTHONPATH": f"{again / 'src'}{os.pathsep}{again}"}
    shutil.copy(clone.folder / "data/local/pairs.tsv", again / "data/local/pairs.tsv")
    lock = (again / "dvc.lock").read_text(encoding="utf-8")
    third.type(".venv/bin/dvc repro --force")
    assert (again / "dvc.lock").read_text(encoding="utf-8") == lock
    assert third.status() == []
