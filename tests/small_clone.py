"""A clone of this working tree that trains on a small TSV file in seconds, and runs commands as a user would."""

import os
import random
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.no_network.sitecustomize import NO_NETWORK
from tests.records import merge

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
WORDS = {
    "the": "das", "light": "Licht", "window": "Fenster", "door": "Tor", "is": "ist", "open": "offen", "red": "rot",
    "new": "neu", "old": "alt", "house": "Haus", "big": "groß", "small": "klein", "and": "und", "book": "Buch",
}  # fmt: skip
SMALL: dict[str, Any] = {
    "prepare": {"max_leakage": 1.0},
    "tokenizer": {"vocab_size": 300, "slots": 2},
    "model": {
        "name": "transformer",
        "transformer": {"width": 16, "feed_forward": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1},
    },
    "train": {
        "device": "cpu", "max_steps": 12, "warmup_steps": 2, "validate_every": 6, "report_every": 3, "average": 2,
        "checkpoint_every": 6, "validation_segments": 4,
        "validation_search": {"max_length_ratio": 1.0, "max_length_extra": 2},
    },
    "search": {"beam": 2, "max_length_ratio": 1.0, "max_length_extra": 2},
    "evaluate": {"bootstrap": 100},
}  # fmt: skip
STAGES = [
    "check_params", "download_corpus", "translate_corpus", "prepare_corpus", "score_corpus", "download_pretrained",
    "train_tokenizer", "train_model", "export_model", "evaluate_model", "register_model",
]  # fmt: skip


def clone_environment(folder: Path) -> dict[str, str]:
    """The environment of commands in a clone: they import its code, and its home folder is one beside it."""
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    environment = os.environ | {
        "HOME": str(home), "PYTHONPATH": clone_path(folder), "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "A Newcomer",
        "GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": "newcomer@example.org",
    }  # fmt: skip
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "PREFECT_HOME"):
        environment.pop(name, None)
    return environment


def clone_path(folder: Path) -> str:
    """PYTHONPATH of commands in a clone."""
    return os.pathsep.join([NO_NETWORK, str(folder / "src"), str(folder)])


class Clone:
    """A Git repository with the working tree's tracked files, and a method to run commands in it."""

    patience = 300.0  # seconds that a command may take

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, files.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        (folder / "dvc.lock").unlink(missing_ok=True)  # the lock belongs to the default run, which has other inputs
        self.environment = clone_environment(folder)
        self.type("git init --quiet")
        self.commit("Begin")

    def commit(self, message: str) -> None:
        self.type("git add --all")
        self.type(f"git commit --quiet --message '{message}'")

    def type(self, line: str, *, given: str | None = None) -> str:
        """Run a command line and return its standard output; programs in .venv/bin run with this interpreter."""
        words = shlex.split(line)
        if words[0].startswith(".venv/bin/"):
            program = words[0].removeprefix(".venv/bin/")
            module = {"dvc": ["-m", "dvc"], "seqloom": ["-m", "seqloom.cli"], "python": []}
            words = [sys.executable, *module[program], *words[1:]]
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, input=given, capture_output=True, text=True,
            timeout=self.patience,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def status(self) -> list[str]:
        """Return the changed and untracked files, as `git status --porcelain` prints them."""
        return self.type("git status --porcelain --untracked-files=all").splitlines()


def use_own_pairs(clone: Clone) -> None:
    """Give the clone 150 pairs, configured as in the README, and settings for a tiny model."""
    draw = random.Random(4)
    pairs = set()
    while len(pairs) < 150:
        words = draw.choices(list(WORDS), k=draw.randint(2, 7))
        pairs.add((" ".join(words), " ".join(WORDS[word] for word in words)))
    text = "".join(f"{source}\t{target}\n" for source, target in sorted(pairs))
    (clone.folder / "data/local/pairs.tsv").write_text(text, encoding="utf-8")
    params = yaml.safe_load((clone.folder / "params.yaml").read_text(encoding="utf-8"))
    params["corpora"] = yaml.safe_load(own_data())["corpora"]
    params["train"]["lr"] = float(params["train"]["lr"])
    merge(params, SMALL)
    params["prepare"]["split"].update({"valid": 0.1, "test": 0.1})
    (clone.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def own_data() -> str:
    """Return the README's YAML block for your own data."""
    blocks = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return next(block for block in blocks if block.startswith("corpora:"))
