import json
import shutil

import pytest

from seqloom.errors import TokenizerError
from seqloom.progress import ignore
from seqloom.text import STANDARD_FORMS, Forms
from seqloom.tokenization.catalogue import load_tokenizer, train_tokenizer


def content(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_loaded_tokenizer_equals_the_saved_one(every_kind, text_pairs, tmp_path):
    every_kind.save(tmp_path / "one")
    again = load_tokenizer(tmp_path / "one")
    again.save(tmp_path / "two")
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert (again.joint, again.source_vocab_size, again.target_vocab_size) == (
        every_kind.joint,
        every_kind.source_vocab_size,
        every_kind.target_vocab_size,
    )
    for source, target in text_pairs[:20]:
        encoded = again.encode_source(source)
        assert encoded == every_kind.encode_source(source)
        assert again.encode_target(target, encoded.slots) == every_kind.encode_target(target, encoded.slots)
        assert again.decode(again.encode_target(target, encoded.slots), encoded.slots) == target


@pytest.mark.parametrize("kind", [{}, {"joint": False, "vocab_size": 304}, {"name": "characters"}])
def test_target_languages_are_saved_and_loaded(trained, tmp_path, kind):
    tokenizer = trained(languages=("de", "pt-BR"), **kind)
    tokenizer.save(tmp_path / "it")
    again = load_tokenizer(tmp_path / "it")
    assert again.languages == ("de", "pt-BR")
    assert again.encode_source("the lamp", "pt-BR") == tokenizer.encode_source("the lamp", "pt-BR")


def test_a_single_target_language_is_not_stored(trained, tmp_path):
    for languages in ((), ("de",)):
        trained(languages=languages).save(tmp_path / str(len(languages)))
    assert content(tmp_path / "0") == content(tmp_path / "1")
    assert b"languages" not in content(tmp_path / "0")["tokenizer.json"]


def test_languages_need_room_in_the_vocabulary(text_pairs, settings_of):
    chosen = settings_of(vocab_size=270)
    assert chosen.reserved_pieces(1) == 4 + 4 + 256
    with pytest.raises(TokenizerError, match=r"vocab_size \(270\) leaves no room for 6 target languages: 270 pieces"):
        train_tokenizer(chosen, lambda: iter(text_pairs), 1, ignore, ("de", "fr", "es", "it", "nl", "pl"))


def test_the_folder_has_a_file_per_vocabulary(trained, tmp_path):
    trained().save(tmp_path / "joint")
    trained(joint=False, vocab_size=304).save(tmp_path / "separate")
    assert set(content(tmp_path / "joint")) == {"tokenizer.json", "joint.model"}
    assert set(content(tmp_path / "separate")) == {"tokenizer.json", "source.model", "target.model"}


def test_saving_replaces_the_old_folder(trained, tmp_path):
    trained(joint=False, vocab_size=304).save(tmp_path / "it")
    trained().save(tmp_path / "it")
    assert load_tokenizer(tmp_path / "it").joint
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_a_failed_save_leaves_the_old_folder(trained, tmp_path, monkeypatch):
    trained().save(tmp_path / "it")
    before = content(tmp_path / "it")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OSError, match="No space left"):
        trained(algorithm="bpe").save(tmp_path / "it")
    assert content(tmp_path / "it") == before
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_a_loaded_tokenizer_no_longer_needs_its_folder(trained, tmp_path):
    trained().save(tmp_path / "it")
    tokenizer = load_tokenizer(tmp_path / "it")
    shutil.rmtree(tmp_path / "it")
    assert tokenizer.decode(tokenizer.encode_target("Öffne Tür", []), []) == "Öffne Tür"


def test_a_larger_corpus_is_sampled_by_seed(text_pairs, settings_of, tmp_path):
    chosen = settings_of(max_training_lines=40, algorithm="bpe")
    folders = []
    for number, seed in enumerate([1, 1, 2]):
        folders.append(tmp_path / str(number))
        train_tokenizer(chosen, lambda: iter(text_pairs), seed, ignore).save(folders[-1])
    assert content(folders[0]) == content(folders[1])
    assert content(folders[0]) != content(folders[2])


def test_the_sample_has_the_requested_size(settings_of):
    """Every pair has its own character, so the vocabulary shows how many pairs were read."""
    pairs = [(chr(0x4E00 + n), chr(0x4E00 + n)) for n in range(200)]
    chosen = settings_of(name="characters", max_training_lines=50, vocab_size=330, slots=0)
    assert train_tokenizer(chosen, lambda: iter(pairs), 1, ignore).source_vocab_size == 4 + 50
    assert (
        train_tokenizer(
            chosen.model_copy(update={"max_training_lines": 200}), lambda: iter(pairs), 1, ignore
        ).source_vocab_size
        == 204
    )


def test_each_side_of_a_separate_vocabulary_learns_its_own_text(trained):
    tokenizer = trained(name="characters", joint=False)
    assert 1 in tokenizer.encode_source("ü").ids
    assert 1 not in tokenizer.encode_target("ü", [])


def test_progress_reaches_its_total(text_pairs, settings_of):
    heard = []
    train_tokenizer(settings_of(), lambda: iter(text_pairs), 1, heard.append)
    assert [(report.task, report.done, report.total) for report in heard] == [
        ("read pairs", 0, 300),
        ("read pairs", 300, 300),
        ("learn pieces", 0, 320),
        ("learn pieces", 320, 320),
    ]


def test_training_without_pairs_is_rejected(settings_of):
    with pytest.raises(TokenizerError, match="no text"):
        train_tokenizer(settings_of(), lambda: iter([]), 1, ignore)


@pytest.mark.parametrize(("name", "fault"), [("tokenizer.json", "does not exist"), ("joint.model", "cannot be read")])
def test_a_missing_file_is_named(trained, tmp_path, name, fault):
    trained().save(tmp_path / "it")
    (tmp_path / "it" / name).unlink()
    with pytest.raises(TokenizerError, match=f"{name}: {fault}"):
        load_tokenizer(tmp_path / "it")


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:50] + bytes([b[50] ^ 1]) + b[51:], lambda b: b""])
def test_a_damaged_model_file_is_detected(trained, tmp_path, damage):
    trained().save(tmp_path / "it")
    file = tmp_path / "it" / "joint.model"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(TokenizerError, match=r"joint\.model: damaged"):
        load_tokenizer(tmp_path / "it")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("{", "cannot be read"),
        ("[1]", "must hold a JSON object"),
        ({"format": 99}, "not a tokenizer of format 1"),
        ({"name": "words"}, "name is 'words'; valid are sentencepiece, characters"),
        ({"slots": None}, "does not describe a tokenizer"),
        ({"sha256": {}}, "does not describe a tokenizer"),
        ({"languages": "de"}, "does not describe a tokenizer"),
        ({"languages": ["de", "fr"]}, "does not describe a tokenizer"),  # the vocabulary has no such symbols
    ],
)
def test_an_invalid_description_gives_one_clear_error(trained, tmp_path, change, message):
    trained().save(tmp_path / "it")
    file = tmp_path / "it" / "tokenizer.json"
    file.write_text(change if isinstance(change, str) else json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(TokenizerError, match=message):
        load_tokenizer(tmp_path / "it")


def test_a_model_file_of_another_kind_is_rejected(trained, tmp_path):
    trained(name="characters").save(tmp_path / "it")
    file = tmp_path / "it" / "tokenizer.json"
    file.write_text(file.read_text().replace('"characters"', '"sentencepiece"'))
    with pytest.raises(TokenizerError, match="not a SentencePiece model"):
        load_tokenizer(tmp_path / "it")


def test_the_forms_of_placeholders_are_stored_and_used(text_pairs, settings_of, tmp_path):
    forms = Forms(["braces"], [r"@@\w+@@"])
    tokenizer = train_tokenizer(settings_of(), lambda: iter(text_pairs), 1, ignore, (), forms)
    tokenizer.save(tmp_path / "it")
    again = load_tokenizer(tmp_path / "it")
    assert again.forms == forms
    assert again.encode_source("Open @@x@@ %s {y}").slots == ("@@x@@", "{y}")
    assert again.encode_source("Open @@x@@ %s {y}") == tokenizer.encode_source("Open @@x@@ %s {y}")


def test_a_tokenizer_without_stored_forms_uses_the_standard_ones(trained, tmp_path):
    trained().save(tmp_path / "it")
    assert b"placeholders" not in content(tmp_path / "it")["tokenizer.json"]
    assert load_tokenizer(tmp_path / "it").forms == STANDARD_FORMS


@pytest.mark.parametrize(
    "stored", [[], {"forms": ["braces"]}, {"forms": "braces", "patterns": []}, {"forms": ["no"], "patterns": []},
               {"forms": [], "patterns": ["("]}, {"forms": [1], "patterns": []}],
)  # fmt: skip
def test_invalid_forms_are_rejected(trained, tmp_path, stored):
    trained().save(tmp_path / "it")
    file = tmp_path / "it" / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"placeholders": stored}))
    with pytest.raises(TokenizerError, match=r"tokenizer\.json: does not describe a tokenizer"):
        load_tokenizer(tmp_path / "it")


@pytest.mark.parametrize(("pairs", "learnt"), [([1] * 200, 1), ([1] * 150 + [3] * 100, 3), ([2] * 99 + [0] * 500, 4)])
def test_placeholders_at_once_is_the_number_that_enough_pairs_have(settings_of, tmp_path, pairs, learnt):
    words = [f"Open the door {' '.join(f'{{x{n}}}' for n in range(count))} now" for count in pairs]
    chosen = settings_of(name="characters", vocab_size=64)
    tokenizer = train_tokenizer(chosen, lambda: zip(words, words, strict=True), 1, ignore)
    assert tokenizer.placeholders_at_once == learnt
    tokenizer.save(tmp_path / "it")
    assert load_tokenizer(tmp_path / "it").placeholders_at_once == learnt
