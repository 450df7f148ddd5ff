import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqloom.errors import ParamsError
from seqloom.params import Params, load_params, load_purpose, parse_params
from seqloom.text import STANDARD_FORMS

SHIPPED = (Path(__file__).parent.parent / "params.yaml").read_text(encoding="utf-8")
TEXT = (Path(__file__).parent / "whole_params.yaml").read_text(encoding="utf-8")  # the same with every setting


def line_of(text: str, wanted: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if wanted in line)


def test_the_repositorys_params_are_valid() -> None:
    params = parse_params(SHIPPED)
    assert (params.languages.source, params.languages.target) == ("en", "de")
    assert isinstance(params.train.lr, float)


def test_the_defaults_are_the_values_that_the_file_with_every_setting_has() -> None:
    assert parse_params(SHIPPED).model_dump_json() == parse_params(TEXT).model_dump_json()


def test_the_params_of_the_repository_fit_on_a_page() -> None:
    assert len(SHIPPED.splitlines()) <= 75


@pytest.mark.parametrize(
    ("given", "instead", "field", "expected"),
    [
        ("  lr:", "  lrr:", "train.lrr", "is not a setting; did you mean 'lr'?"),
        ("  preset: tiny", "  preset: huge", "model.lstm.preset", "'tiny', 'small', 'base' or 'big', got 'huge'"),
        ("  seed: 1\n", "  seed: one\n", "train.seed", "valid integer, got 'one'"),
        ("  dropout:", "  dropout: 1.5 #", "model.dropout", "less than 1, got 1.5"),
        ("format: json_catalogue", "format: xml", "corpora.home_assistant.format", "'moses', 'parquet'"),
        ("    package: homeassistant", "    pakage: x", "corpora.home_assistant.pakage", "is not a setting"),
        ("kind: package", "kind: ftp", "corpora.home_assistant", "'package', 'url', 'file'"),
        ("forms: [platform,", "forms: [plat,", "placeholders.forms", "'plat' is not a form of placeholder; valid are"),
        ("patterns: []", "patterns: [a+, '(']", "placeholders.patterns", "is not a valid regular expression"),
    ],
)
def test_an_error_gives_file_line_field_and_what_is_valid(given: str, instead: str, field: str, expected: str) -> None:
    text = TEXT.replace(given, instead, 1)
    assert text != TEXT
    with pytest.raises(ParamsError) as raised:
        parse_params(text, "my.yaml")
    messages = str(raised.value).splitlines()
    message = next(m for m in messages if f": {field}: " in m)
    assert expected in message
    if "kind" not in instead:
        assert message.startswith(f"my.yaml: line {line_of(text, instead.strip())}: ")


@pytest.mark.parametrize(
    ("given", "instead", "message"),
    [
        ("joint: true", "joint: false", "needs tokenizer.joint: true"),
        ("target: de", "target: en", "task is 'translation', but languages has 'en' on both sides"),
        ("target: de", "target: [de, fr, de]", "languages.target: lists a language twice: de, fr, de"),
        ("target: de", "target: []", "at least 1 item"),
        ("method: beam", "method: generate", "needs model.name: pretrained"),
        ("name: attention_lstm", "name: pretrained", "model.pretrained.source: .* must be a folder or a hub id"),
        (
            "min_length_ratio: 0",
            "min_length_ratio: 3",
            r"search.min_length_ratio: is 3.*, above max_length_ratio \(2.*\)",
        ),
        ("vocab_size:", "vocab_size: 100 #", r"tokenizer.vocab_size: is 100, "),
        ("min_words: 2", "min_words: 200", r"prepare.clean.min_words: must not exceed max_words \(100\); is 200"),
        ("    valid: ", "    valid: 0.99 #", "leave nothing for training"),
    ],
)
def test_impossible_combinations_are_errors(given: str, instead: str, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        parse_params(TEXT.replace(given, instead, 1))


def test_a_transformers_width_must_be_divisible_by_its_heads() -> None:
    text = TEXT.replace("name: attention_lstm", "name: transformer").replace("heads: null", "heads: 3", 1)
    message = r"line \d+: model\.transformer\.heads: width \(\d+\) is not divisible by heads \(3\)"
    with pytest.raises(ParamsError, match=message):
        parse_params(text)


@pytest.mark.parametrize(
    ("given", "instead", "message"),
    [
        ("name: sentencepiece", "name: characters", "'characters' splits a word in only one way"),
        ("algorithm: unigram", "algorithm: bpe", "the share of merges to drop, it must be below 1"),
        ("name: attention_lstm", "name: pretrained", "pretrained model's tokenizer splits a word in only one way"),
    ],
)
def test_subword_sampling_must_fit_the_tokenizer(given: str, instead: str, message: str) -> None:
    text = TEXT.replace("subword_sampling: null", "subword_sampling: 1.5").replace(given, instead, 1)
    with pytest.raises(ParamsError, match=rf"line \d+: train\.subword_sampling: .*{message}"):
        parse_params(text)


@pytest.mark.parametrize("family", ["lstm", "attention_lstm", "transformer"])
def test_a_model_family_name_is_one_word(family: str) -> None:
    params = parse_params(TEXT.replace("name: attention_lstm", f"name: {family}"))
    assert params.model.architecture.name == family
    assert {"name", "dropout", "tied_embeddings", family, "embeddings"} == set(params.model.used())


def test_every_combination_of_two_languages_is_a_direction() -> None:
    lists = TEXT.replace("source: en", "source: [en, de]", 1).replace("target: de", "target: [de, fr]", 1)
    params = parse_params(lists)
    assert [str(direction) for direction in params.languages.directions] == ["en-de", "en-fr", "de-fr"]
    text = TEXT.replace("task: translation", "task: summarization").replace("target: de", "target: en", 1)
    one = parse_params(text)
    assert [str(direction) for direction in one.languages.directions] == ["en-en"]


def test_all_violated_bounds_are_reported_together() -> None:
    text = TEXT.replace("max_steps: 2400", "max_steps: 50").replace("beam: 5", "beam: none", 1)
    text = text.replace("joint: true", "joint: false").replace("lr: 1.2e-2", "lr: 0", 1)
    with pytest.raises(ParamsError) as raised:
        parse_params(text, "my.yaml")
    lines = [
        f"my.yaml: line {line_of(text, '  ' + key)}: " for key in ("tied_embeddings: all", "lr: 0", "warmup_steps:")
    ]
    lines += [f"my.yaml: line {line_of(text, '  ' + key)}: " for key in ("validate_every:", "beam: none")]
    messages = str(raised.value).splitlines()
    assert len(messages) == len(lines)
    assert all(message.startswith(line) for message, line in zip(messages, lines, strict=True))


def test_all_errors_are_reported_together() -> None:
    text = TEXT.replace("  lr:", "  lrr:", 1).replace("preset: tiny", "preset: huge", 1)
    with pytest.raises(ParamsError) as raised:
        parse_params(text)
    for part in ("train.lr: is missing", "train.lrr: is not a setting", "model.lstm.preset: "):
        assert part in str(raised.value)


def test_placeholder_forms_default_to_the_standard_ones() -> None:
    start = TEXT.index("placeholders:\n")
    params = parse_params(TEXT[:start] + TEXT[TEXT.index("prepare:\n", start) :])
    assert params.placeholders.build() == STANDARD_FORMS
    ours = parse_params(TEXT.replace("patterns: []", "patterns: ['@\\w+@']")).placeholders.build()
    assert ours.find("[X12X] @it@ {x}") == ["[X12X]", "@it@", "{x}"]


def test_duplicate_keys_and_broken_yaml_are_reported_with_their_line() -> None:
    with pytest.raises(ParamsError, match=r"line \d+: not valid YAML: the key 'seed' is given twice"):
        parse_params(TEXT.replace("  seed: 1\n", "  seed: 1\n  seed: 2\n", 1))
    with pytest.raises(ParamsError, match=r"line \d+: not valid YAML"):
        parse_params("a: [1,\nb: 2")
    with pytest.raises(ParamsError, match="must have the sections task, languages, corpora"):
        parse_params("just words")


def test_the_purpose_is_read_even_if_other_sections_are_invalid(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(TEXT.replace("lr: 1.2e-2", "lr: fast").replace("gate:", "gates:"), encoding="utf-8")
    purpose = load_purpose(file)
    assert (purpose.task, purpose.languages.sources, purpose.languages.targets) == ("translation", ["en"], ["de"])
    assert purpose.register_.experiment == "seqloom"
    file.write_text(TEXT.replace("target: de", "target: German", 1), encoding="utf-8")
    with pytest.raises(ParamsError, match=r"line \d+: languages\.target"):
        load_purpose(file)


@pytest.mark.parametrize("written", ["3e-4", "0.0003", "3.0E-4", "3.e-4"])
def test_numbers_follow_yaml_1_2(written: str) -> None:
    lines = [f"  lr: {written}" if line.startswith("  lr:") else line for line in TEXT.splitlines()]
    assert parse_params("\n".join(lines)).train.lr == pytest.approx(3e-4)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"none\.yaml: cannot be read"):
        load_params(tmp_path / "none.yaml")


def test_a_file_outside_data_local_needs_a_hash() -> None:
    head, tail = TEXT.split("corpora:\n", 1)
    rest = tail[tail.index("\nprepare:") :]

    def with_path(path: str, more: str = "") -> str:
        return f"{head}corpora:\n  mine:\n    kind: file\n    path: {path}\n    format: tsv\n{more}{rest}"

    parse_params(with_path("data/local/mine.tsv"))
    for path in ("/data/mine.tsv", "data/local/../../mine.tsv", "data/mine.tsv"):
        with pytest.raises(ParamsError, match="outside data/local"):
            parse_params(with_path(path))
    parse_params(with_path("/data/mine.tsv", f"    sha256: {'a' * 64}\n"))


def test_every_example_for_your_own_data_is_valid() -> None:
    readme = (Path(__file__).parent.parent / "data" / "local" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(corpora:.*?)```", readme, re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        section = block.partition(":")[0]
        head, tail = TEXT.split(f"\n{section}:\n", 1)
        behind = re.search(r"^\w", tail, re.MULTILINE)
        assert behind is not None
        parse_params(f"{head}\n{block}\n{tail[behind.start() :]}")


def test_every_settings_example_in_the_models_documentation_is_valid() -> None:
    text = (Path(__file__).parent.parent / "docs" / "MODELS.md").read_text(encoding="utf-8")
    blocks = [textwrap.dedent(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    assert blocks
    for block in blocks:
        section = block.partition(":")[0]
        head, tail = TEXT.split(f"\n{section}:\n", 1)
        behind = re.search(r"^\w", tail, re.MULTILINE)
        assert behind is not None
        parse_params(f"{head}\n{block}\n{tail[behind.start() :]}")


def test_every_whole_number_has_bounds() -> None:
    def numbers(node: object, path: str = "") -> Iterator[tuple[str, dict[str, object]]]:
        if isinstance(node, dict):
            if node.get("type") == "integer":
                yield path, node
            for key, child in node.items():
                yield from numbers(child, f"{path}.{key}")
        elif isinstance(node, list):
            for child in node:
                yield from numbers(child, path)

    found = list(numbers(Params.model_json_schema()))
    assert len(found) > 60
    assert not [path for path, node in found if not {"maximum", "exclusiveMaximum"} & node.keys()]
    assert not [path for path, node in found if not {"minimum", "exclusiveMinimum"} & node.keys()]


@pytest.mark.parametrize(
    ("given", "instead", "field"),
    [
        ("width: null", "width: 1000000000", "model.transformer.width"),
        ("encoder_layers: 3", "encoder_layers: 1000000", "model.transformer.encoder_layers"),
        ("tokens_per_batch: 1024", "tokens_per_batch: 1000000000000", "train.tokens_per_batch"),
        ("processes: 1", "processes: 1000000", "train.processes"),
        ("samples: 32", "samples: 1000000000", "search.samples"),
        ("  max_length_ratio: 2.0", "  max_length_ratio: 1e9", "search.max_length_ratio"),
        ("bootstrap: 1000", "bootstrap: 1000000000", "evaluate.bootstrap"),
        ("max_length: 256", "max_length: 10000000", "tokenizer.max_length"),
        ("max_minutes: null", "max_minutes: 1e300", "train.max_minutes"),
    ],
)
def test_unrealistically_large_sizes_are_errors(given: str, instead: str, field: str) -> None:
    with pytest.raises(ParamsError, match=rf"line \d+: {field}: input should be less than or equal to \d"):
        parse_params(instead.join(TEXT.rsplit(given, 1)))
