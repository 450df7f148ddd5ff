from pathlib import Path

import pytest
import yaml

from seqloom.editing import Change, change, keep_corpora, parse_value, put_corpora_first, whole
from seqloom.errors import ParamsError
from seqloom.params import parse_params

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "tests" / "whole_params.yaml").read_text(encoding="utf-8")
SHIPPED = (ROOT / "params.yaml").read_text(encoding="utf-8")
TWO = TEXT.replace(
    "corpora:\n",
    "corpora:\n  # pairs of ours\n  mine:\n    kind: file\n    path: data/local/x.tsv # by hand\n    format: tsv\n",
)


def differing(before: str, after: str) -> list[tuple[str, str]]:
    lines = zip(before.splitlines(), after.splitlines(), strict=True)
    return [(old.strip(), new.strip()) for old, new in lines if old != new]


def test_a_setting_that_has_a_default_is_added_to_its_section() -> None:
    text, changes = change(SHIPPED, {"train.weight_decay": 0.1, "train.validation_search.beam": 4, "search.top_k": 9})
    assert [str(each) for each in changes] == [
        "train.weight_decay: 0.01 -> 0.1", "train.validation_search.beam: 1 -> 4", "search.top_k: null -> 9",
    ]  # fmt: skip
    params = parse_params(text)
    assert (params.train.weight_decay, params.train.validation_search.beam, params.search.top_k) == (0.1, 4, 9)
    assert text.count("\n\n") == SHIPPED.count("\n\n")


def test_the_whole_of_the_params_has_every_setting_and_the_same_values() -> None:
    text = whole(parse_params(SHIPPED))
    assert parse_params(text) == parse_params(SHIPPED)
    assert text == whole(parse_params(text))
    assert {"weight_decay", "validation_search", "subword_sampling"} <= set(yaml.safe_load(text)["train"])


def test_changing_a_setting_keeps_the_rest_of_the_file() -> None:
    text, changes = change(TEXT, {"train.lr": parse_value("3e-4", "train.lr"), "model.transformer.width": 64})
    assert differing(TEXT, text) == [("width: null", "width: 64"), ("lr: 1.2e-2 # the peak", "lr: 3e-4   # the peak")]
    assert list(map(str, changes)) == ["train.lr: 0.012 -> 0.0003", "model.transformer.width: null -> 64"]
    assert parse_params(text).train.lr == 3e-4


@pytest.mark.parametrize("salt", ["", "a: b", "# no comment", "'", "Straße", "null", "12", "3e-4", "yes", "- x", "{a}"])
def test_a_value_that_is_set_is_read_back_unchanged(salt: str) -> None:
    assert parse_params(change(TEXT, {"prepare.split.salt": salt}).text).prepare.split.salt == salt


def test_setting_the_current_value_leaves_the_text_unchanged() -> None:
    text, changes = change(TEXT, {"train.seed": 1})
    assert text == TEXT
    assert list(map(str, changes)) == ["train.seed: 1 (unchanged)"]


def test_an_optional_setting_can_be_added_to_a_corpus() -> None:
    text, changes = change(TEXT, {"corpora.home_assistant.split": "train"})
    assert parse_params(text).corpora["home_assistant"].split == "train"
    assert changes == [Change("corpora.home_assistant.split", None, "train")]


def test_all_faults_are_reported_together() -> None:
    with pytest.raises(ParamsError) as caught:
        change(TEXT, {"train.lrr": 1, "trian.lr": 1, "train.lr.peak": 1, "corpora.other.version": "1", "": 1})
    assert str(caught.value).splitlines() == [
        next(
            line for line in str(caught.value).splitlines() if "train.lrr is not a setting; valid in train are " in line
        ),
        next(line for line in str(caught.value).splitlines() if "trian.lr is not a setting; valid are task, " in line),
        "params.yaml: train.lr.peak is not a setting: train.lr is not a section",
        "params.yaml: corpora.other.version is not a setting; valid in corpora are home_assistant",
        next(line for line in str(caught.value).splitlines() if "params.yaml:  is not a setting" in line),
    ]
    with pytest.raises(ParamsError) as caught:
        change(TEXT, {"train.lr": "fast", "search.beam": 0, "corpora.home_assistant.vresion": "1"})
    messages = str(caught.value).splitlines()
    assert len(messages) == 3
    assert all(line.startswith("params.yaml after the change: line ") for line in messages)
    assert {line.split(": ")[2] for line in messages} == {"train.lr", "search.beam", "corpora.home_assistant.vresion"}


@pytest.mark.parametrize(
    ("text", "value"), [("3e-4", 3e-4), ("[de, fr]", ["de", "fr"]), ("null", None), ("yes", True), ("'yes'", "yes")]
)
def test_values_are_parsed_as_yaml(text: str, value: object) -> None:
    assert parse_value(text, "x") == value


def test_a_value_that_is_not_yaml_is_an_error() -> None:
    with pytest.raises(ParamsError, match=r"the value of train\.lr: not valid YAML"):
        parse_value("[1", "train.lr")


def test_removing_a_corpus_keeps_the_comments_around_it() -> None:
    text, changes = keep_corpora(TWO, ["home_assistant"])
    assert text == TEXT.replace("corpora:\n", "corpora:\n  # pairs of ours\n")
    assert changes == [Change("corpora.mine", "file", None)]
    text, _ = keep_corpora(TWO, ["mine"])
    assert list(parse_params(text).corpora) == ["mine"]
    assert text.endswith(TEXT[TEXT.index("\nprepare:") :])
    assert keep_corpora(TWO, ["mine", "home_assistant"]) == (TWO, [])


def test_keeping_unknown_corpora_is_an_error() -> None:
    with pytest.raises(ParamsError, match="corpora has no x and no y; valid are mine, home_assistant"):
        keep_corpora(TWO, ["x", "mine", "y"])
    with pytest.raises(ParamsError, match="corpora"):
        keep_corpora(TWO, [])


def test_corpora_are_put_before_all_others_or_replaced_where_they_are() -> None:
    new = {name: {"kind": "file", "path": f"data/local/{name}.tsv", "format": "tsv"} for name in ("a", "b")}
    text, changes = put_corpora_first(TWO, new)
    assert list(parse_params(text).corpora) == ["a", "b", "mine", "home_assistant"]
    assert [change.before for change in changes] == [None, None]
    assert set(TWO.splitlines()) <= set(text.splitlines())  # comments included
    again, changes = put_corpora_first(text, {"b": new["b"] | {"split": "train"}})
    assert list(parse_params(again).corpora) == ["a", "b", "mine", "home_assistant"]
    assert parse_params(again).corpora["b"].split == "train"
    assert changes[0].before is not None


def test_a_corpus_that_is_not_valid_is_an_error() -> None:
    with pytest.raises(ParamsError, match=r"after the change: .*corpora\.a"):
        put_corpora_first(TWO, {"a": {"kind": "file", "path": "data/local/a.tsv", "format": "doc"}})
