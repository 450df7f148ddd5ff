"""train.start: from a registered version through three stages, and the errors if settings differ."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from seqloom import places
from seqloom.batching.store import TokenStore
from seqloom.corpus.splits import Pair, Split, SplitWriter
from seqloom.errors import ModelError, ParamsError, RegistryError, TokenizerError
from seqloom.models.catalogue import load_model, weights
from seqloom.params import Params, load_params, parse_params
from seqloom.progress import ignore
from seqloom.stages import download_pretrained, register_model, train_model, train_tokenizer
from seqloom.stages.training.identity import fingerprint, identify
from seqloom.stages.training.starting_point import starting_point
from seqloom.text import STANDARD
from seqloom.tokenization.catalogue import load_tokenizer
from seqloom.training.device import Placement
from tests.records import tree, write_yaml
from tests.tiny_pretrained import make_pretrained
from tests.workspaces import give_store, write_results

VERSION = "models:/seqloom-en-de/1"
CPU = Placement(torch.device("cpu"), "fp32")
TINY: dict[str, Any] = {
    "tokenizer": {"name": "characters", "vocab_size": 96, "slots": 4},
    "train": {
        "device": "cpu", "lr": 0.01, "max_steps": 12, "warmup_steps": 2, "validate_every": 4, "report_every": 4,
        "average": 1, "checkpoint_every": 4, "tokens_per_batch": 128, "validation_segments": 4,
    },
}  # fmt: skip
STILL = {"lr": 1e-12, "max_steps": 4}  # one validation of the weights at the start
SIZES = {"width": 16, "feed_forward": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
WORDS = ["turn on the light", "hello there", "good night", "the door is open", "who is here", "come in"]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def write_params(start: str | None = None, **changes: dict[str, Any]) -> Params:
    content = tree()
    content["model"]["transformer"] |= SIZES | changes.pop("transformer", {})
    content["model"] |= changes.pop("model", {})
    for section in ("tokenizer", "train", "languages"):
        content[section] |= TINY.get(section, {}) | changes.get(section, {})
    content["train"]["start"] = start
    Path("params.yaml").write_text(write_yaml(content), encoding="utf-8")
    return load_params()


def write_corpus() -> None:
    places.CORPUS.mkdir(parents=True, exist_ok=True)
    for split in (Split.train, Split.valid):
        (places.CORPUS / split.file_name).unlink(missing_ok=True)
        with SplitWriter(places.CORPUS / split.file_name) as writer:
            for text in WORDS * 4:
                writer.write(Pair(text, text[::-1], "en-de", "toy", ""))


def lay_start() -> None:
    """Copy models/candidate to the place of a registered version from download_pretrained."""
    shutil.rmtree(places.PRETRAINED / "start", ignore_errors=True)
    shutil.copytree(places.CANDIDATE, places.PRETRAINED / "start")


def validations() -> list[tuple[int, float]]:
    rows = csv.DictReader(places.TRAINING_PLOT.read_text(encoding="utf-8").splitlines())
    return [(int(row["step"]), float(row["valid_loss"])) for row in rows if row["valid_loss"]]


def test_training_starts_at_the_loss_where_the_version_ended(workplace: Path) -> None:
    write_corpus()
    cold = write_params()
    download_pretrained.run(cold, ignore)
    train_tokenizer.run(cold, ignore)
    vocabulary = (places.TOKENIZER / "joint.model").read_bytes()
    train_model.run(cold, ignore)
    best = json.loads(places.TRAINING_METRICS.read_text())["best_step"]
    ended = dict(validations())[best]
    lay_start()

    (places.CORPUS / "train.tsv").unlink()  # other data, which would give another vocabulary
    with SplitWriter(places.CORPUS / "train.tsv") as writer:
        for text in WORDS[:3] * 6:
            writer.write(Pair(text, text.upper(), "en-de", "toy", ""))
    warm = write_params(VERSION, train=STILL)
    train_tokenizer.run(warm, ignore)
    assert (places.TOKENIZER / "joint.model").read_bytes() == vocabulary
    train_model.run(warm, ignore)
    assert validations()[0][1] == pytest.approx(ended, rel=1e-4)
    cold_begin = write_params(train=STILL)
    train_model.run(cold_begin, ignore)
    assert validations()[0][1] > ended + 0.1


def test_a_pretrained_network_starts_from_a_version_of_itself(workplace: Path) -> None:
    pytest.importorskip("transformers")
    write_corpus()
    make_pretrained("marian", Path("data/local/base"))
    family = {"name": "pretrained", "pretrained": tree()["model"]["pretrained"] | {"source": "data/local/base"}}
    cold = write_params(model=family)
    for stage in (download_pretrained, train_tokenizer, train_model):
        stage.run(cold, ignore)
    best = json.loads(places.TRAINING_METRICS.read_text())["best_step"]
    ended = dict(validations())
    lay_start()
    warm = write_params(VERSION, model=family, train=STILL)
    train_tokenizer.run(warm, ignore)
    train_model.run(warm, ignore)
    assert validations()[0][1] == pytest.approx(ended[best], rel=1e-4)
    train_model.run(write_params(model=family, train=STILL), ignore)
    assert validations()[0][1] > ended[best] + 0.1


def test_a_registered_version_has_everything_that_training_needs(workplace: Path) -> None:
    give_store(workplace)
    params = write_results(workplace)
    register_model.run(params, ignore)
    content = yaml.safe_load((workplace / "params.yaml").read_text())
    content["train"]["start"] = VERSION
    content["placeholders"] = {"forms": list(STANDARD), "patterns": []}  # of the version's tokenizer
    params = parse_params(write_yaml(content))
    download_pretrained.run(params, ignore)
    start = places.PRETRAINED / "start"
    lying = {path.relative_to(start).as_posix() for path in start.rglob("*") if path.is_file()}
    assert lying == {
        "model.json",
        "model.safetensors",
        "languages.json",
        "tokenizer/tokenizer.json",
        "tokenizer/joint.model",
    }
    manifest = json.loads((places.PRETRAINED / "manifest.json").read_text())
    assert manifest["start"]["version"] == VERSION
    assert {file["path"] for file in manifest["start"]["files"]} == lying
    tokenizer = train_tokenizer.started(params, start)
    store = TokenStore.__new__(TokenStore)  # not read here
    model, _ = starting_point(params, tokenizer, store, ignore)
    registered = weights(load_model(places.CANDIDATE))
    assert all(torch.equal(tensor, registered[name]) for name, tensor in weights(model).items())

    content["train"]["start"] = "models:/seqloom-en-de/7"
    before = (places.PRETRAINED / "manifest.json").read_bytes()
    with pytest.raises(RegistryError, match=r"train\.start: models:/seqloom-en-de/7 names no version; valid are"):
        download_pretrained.run(parse_params(write_yaml(content)), ignore)
    assert (places.PRETRAINED / "manifest.json").read_bytes() == before


@pytest.fixture
def started(workplace: Path) -> Path:
    """A project whose start model is that of `write_results`."""
    write_results(workplace)
    lay_start()
    return places.PRETRAINED / "start"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"languages": {"target": "fr"}}, r"languages\.target is \['fr'\], in the version \['de'\]"),
        ({"tokenizer": {"slots": 2}}, r"tokenizer\.slots is 2, in the version 4"),
        (
            {"tokenizer": {"joint": False}, "model": {"tied_embeddings": "target"}},
            r"joint is False, in the version True",
        ),
        (
            {"tokenizer": {"name": "sentencepiece", "vocab_size": 400}},
            r"name is 'sentencepiece', in the version 'characters'; .*400",
        ),
    ],
)
def test_the_error_lists_the_settings_of_another_tokenizer(
    started: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(TokenizerError, match=rf"train\.start: {VERSION} has another tokenizer: .*{message}"):
        train_tokenizer.started(write_params(VERSION, **changes), started)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transformer": {"width": 32}}, r"model\.transformer\.width is 32, in the version 16"),
        (
            {"transformer": {"activation": "gelu", "norm_order": "post"}},
            r"norm_order is 'post', .*activation is 'gelu'",
        ),
        ({"model": {"tied_embeddings": "none"}}, r"model\.tied_embeddings is 'none', in the version 'all'"),
        ({"model": {"name": "lstm"}}, r"model\.name is 'lstm', in the version 'transformer'"),
    ],
)
def test_the_error_lists_the_settings_of_another_network(started: Path, changes: dict[str, Any], message: str) -> None:
    tokenizer = load_tokenizer(started / "tokenizer")
    with pytest.raises(ModelError, match=rf"train\.start: {VERSION} is another network: .*{message}"):
        starting_point(write_params(VERSION, **changes), tokenizer, TokenStore.__new__(TokenStore), ignore)


def test_another_dropout_is_the_same_network(started: Path) -> None:
    tokenizer = load_tokenizer(started / "tokenizer")
    params = write_params(VERSION, model={"dropout": 0.3})
    starting_point(params, tokenizer, TokenStore.__new__(TokenStore), ignore)


def test_a_student_takes_the_layers_that_it_has_in_common_with_its_teacher(started: Path) -> None:
    tokenizer, teacher = load_tokenizer(started / "tokenizer"), weights(load_model(started))
    params = write_params(VERSION, transformer={"encoder_layers": 3})
    student, _ = starting_point(params, tokenizer, TokenStore.__new__(TokenStore), ignore)
    own = weights(student)
    assert all(torch.equal(own[name], tensor) for name, tensor in teacher.items())
    assert {name.split(".")[1] for name in own.keys() - teacher.keys()} == {"1", "2"}


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("models:/seqloom-en-de@champion", "an alias, which moves"),
        ("models:/seqloom-en-de", "valid are null and models:/NAME/NUMBER"),
        ("data/local/model", "valid are null and models:/NAME/NUMBER"),
    ],
)
def test_only_a_pinned_version_is_accepted(workplace: Path, start: str, message: str) -> None:
    with pytest.raises(ParamsError, match=rf"train\.start: is '{start}'.*{message}"):
        write_params(start)


def test_vectors_and_a_start_cannot_be_combined(workplace: Path) -> None:
    embeddings = tree()["model"]["embeddings"] | {"source": "data/local/x.vec"}
    with pytest.raises(ParamsError, match=r"must be null if train\.start is set"):
        write_params(VERSION, model={"embeddings": embeddings})


def test_without_a_start_the_identity_has_no_start(workplace: Path) -> None:
    write_corpus()
    cold = write_params()
    download_pretrained.run(cold, ignore)
    train_tokenizer.run(cold, ignore)
    assert "start" not in json.loads((places.PRETRAINED / "manifest.json").read_text())
    assert "start" not in identify(cold, CPU)["train"]
    assert fingerprint(identify(write_params(VERSION), CPU)) != fingerprint(identify(cold, CPU))
