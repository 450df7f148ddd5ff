"""Wrapped Hugging Face tokenizers, compared with the originals."""

import json
import shutil
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from seqloom.errors import ModelError, TokenizerError
from seqloom.huggingface import library
from seqloom.symbols import Symbols
from seqloom.tokenization.catalogue import load_tokenizer
from seqloom.tokenization.pretrained import PretrainedOptions, PretrainedTokenizer
from tests.tiny_pretrained import KINDS, LANGUAGES, PAIRS, make_pretrained, make_tokenizer


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pretrained")
    for kind in KINDS:
        make_pretrained(kind, root / kind)
    return {kind: root / kind for kind in KINDS}


def options(kind: str, prefix: str = "") -> PretrainedOptions:
    return PretrainedOptions(*LANGUAGES, prefix) if kind.startswith("mbart") else PretrainedOptions(prefix=prefix)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def tokenizer(kind: str, folders: dict[str, Path]) -> PretrainedTokenizer:
    return PretrainedTokenizer(folders[kind], options(kind))


@pytest.fixture
def theirs(kind: str, folders: dict[str, Path]) -> Any:
    codes = {"src_lang": LANGUAGES[0], "tgt_lang": LANGUAGES[1]} if kind.startswith("mbart") else {}
    return library("transformers").AutoTokenizer.from_pretrained(folders[kind], local_files_only=True, **codes)


def test_source_ids_equal_those_of_the_wrapped_tokenizer(tokenizer: PretrainedTokenizer, theirs: Any) -> None:
    for source, _ in PAIRS:
        encoded = tokenizer.encode_source(f"  {source} ")
        assert encoded.ids == theirs(source).input_ids
        assert encoded.slots == ()


def test_target_ids_equal_the_training_labels_of_the_wrapped_tokenizer(
    kind: str, tokenizer: PretrainedTokenizer, theirs: Any, folders: dict[str, Path]
) -> None:
    hf = library("transformers")
    network = hf.AutoModelForSeq2SeqLM.from_pretrained(folders[kind], local_files_only=True)
    for _, target in PAIRS:
        labels = theirs(text_target=target, return_tensors="pt").input_ids
        read, written = network.prepare_decoder_input_ids_from_labels(labels)[0].tolist(), labels[0].tolist()
        if kind == "mbart":  # its labels end with the language code, which is not generated
            read, written = read[:-1], written[:-1]
        ids = tokenizer.encode_target(target, ())
        assert [tokenizer.symbols.bos, *ids] == read
        assert [*ids, tokenizer.symbols.eos] == written
        assert ids[: len(tokenizer.prefix())] == tokenizer.prefix()


@pytest.mark.parametrize(
    ("kind", "symbols", "prefix"),
    [
        ("marian", Symbols(pad=33, unk=1, bos=33, eos=0), []),
        ("t5", Symbols(pad=0, unk=2, bos=0, eos=1), []),
        ("bart", Symbols(pad=1, unk=3, bos=2, eos=2), [0]),
        ("mbart", Symbols(pad=1, unk=3, bos=37, eos=2), []),
        ("mbart50", Symbols(pad=1, unk=3, bos=2, eos=2), [37]),
    ],
    indirect=["kind"],
)
def test_special_ids_follow_the_literature(
    tokenizer: PretrainedTokenizer, theirs: Any, kind: str, symbols: Symbols, prefix: list[int]
) -> None:
    assert tokenizer.symbols == symbols
    assert tokenizer.prefix() == prefix
    if kind.startswith("mbart"):
        assert theirs.convert_ids_to_tokens([symbols.bos, *prefix][-1]) == "de_DE"
    assert (tokenizer.joint, tokenizer.languages) == (True, ())
    assert tokenizer.source_vocab_size == tokenizer.target_vocab_size == len(theirs)


def test_decoding_restores_a_target_and_omits_special_ids(tokenizer: PretrainedTokenizer) -> None:
    symbols = tokenizer.symbols
    for _, target in PAIRS:
        ids = tokenizer.encode_target(target, ())
        assert tokenizer.decode(ids, ()) == target
        assert tokenizer.decode([symbols.bos, *ids, symbols.eos, symbols.pad], ()) == target
    assert tokenizer.decode([tokenizer.target_vocab_size + 5], ()) == ""  # embeddings may have unused rows


def test_a_text_never_produces_special_ids(tokenizer: PretrainedTokenizer) -> None:
    plain = tokenizer.encode_source("the house")
    around = len(plain.ids) - sum(index != tokenizer.symbols.eos for index in plain.ids)
    for text in ("the </s> house", "the <pad> house", "the de_DE house", "the <s> house"):
        ids = tokenizer.encode_source(text).ids
        assert sum(index == tokenizer.symbols.eos for index in ids) == around
        target = tokenizer.encode_target(text, ())[len(tokenizer.prefix()) :]
        assert not {tokenizer.symbols.eos, tokenizer.symbols.bos, tokenizer.symbols.pad} & set(target)


def test_an_empty_text_has_no_ids(tokenizer: PretrainedTokenizer) -> None:
    assert tokenizer.encode_source(" \u200b ").ids == []
    assert tokenizer.encode_target("", ()) == tokenizer.prefix()


def test_pieces_are_readable(tokenizer: PretrainedTokenizer) -> None:
    pieces = tokenizer.source_pieces(tokenizer.encode_source("the house").ids)
    assert "".join(pieces).replace("▁", " ").replace("<s>", "").replace("en_XX", "").startswith((" the", "the"))
    assert "</s>" in pieces
    assert tokenizer.target_pieces([tokenizer.target_vocab_size + 5]) == [""]
    assert tokenizer.subword_sampler("source", 0.1)([5, 6], Random(1)) == [5, 6]


def test_the_prefix_precedes_every_source(folders: dict[str, Path], tmp_path: Path) -> None:
    prefixed = PretrainedTokenizer(folders["t5"], options("t5", "a small "))
    plain = PretrainedTokenizer(folders["t5"], options("t5"))
    assert prefixed.encode_source("garden") == plain.encode_source("a small garden")
    assert prefixed.encode_source("") == plain.encode_source("")
    assert prefixed.encode_target("garten", ()) == plain.encode_target("garten", ())
    prefixed.save(tmp_path / "stored")
    assert load_tokenizer(tmp_path / "stored").encode_source("garden") == prefixed.encode_source("garden")


def test_a_loaded_tokenizer_equals_the_saved_one_byte_for_byte(tokenizer: PretrainedTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "a")
    again = load_tokenizer(tmp_path / "a")
    again.save(tmp_path / "b")
    contents = [
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("a", "b")
    ]
    assert contents[0] == contents[1]
    assert not [path for path in contents[0] if path.suffix == ".safetensors"]
    for source, target in PAIRS:
        assert again.encode_source(source) == tokenizer.encode_source(source)
        assert again.encode_target(target, ()) == tokenizer.encode_target(target, ())
    assert (again.symbols, again.prefix()) == (tokenizer.symbols, tokenizer.prefix())


def test_a_damaged_stored_tokenizer_is_rejected_by_name(folders: dict[str, Path], tmp_path: Path) -> None:
    PretrainedTokenizer(folders["marian"], options("marian")).save(tmp_path / "stored")
    piece = tmp_path / "stored" / "huggingface" / "vocab.json"
    piece.write_bytes(piece.read_bytes() + b" ")
    with pytest.raises(TokenizerError, match=r"vocab\.json: damaged"):
        load_tokenizer(tmp_path / "stored")
    piece.unlink()
    with pytest.raises(TokenizerError, match=r"vocab\.json: cannot be read"):
        load_tokenizer(tmp_path / "stored")
    (tmp_path / "stored" / "tokenizer.json").write_text('{"format": 1, "name": "pretrained"}')
    with pytest.raises(TokenizerError, match="does not describe a tokenizer"):
        load_tokenizer(tmp_path / "stored")


@pytest.mark.parametrize(
    ("kind", "codes", "message"),
    [
        ("mbart", (None, "de_DE"), r"source_language is None; valid for its tokenizer are ar_AR, .*de_DE"),
        ("mbart50", ("en_XX", "de"), r"target_language is 'de'; valid for its tokenizer are af_ZA"),
        ("marian", (None, "de"), r"has no language codes; set model\.pretrained\.target_language to null"),
    ],
)
def test_only_language_codes_of_the_tokenizer_are_accepted(
    folders: dict[str, Path], kind: str, codes: tuple[str | None, str | None], message: str
) -> None:
    with pytest.raises(TokenizerError, match=message):
        PretrainedTokenizer(folders[kind], PretrainedOptions(*codes))


def test_a_marian_model_with_two_vocabularies_keeps_them_separate(tmp_path: Path) -> None:
    size = make_tokenizer("marian", tmp_path)
    source = json.loads((tmp_path / "vocab.json").read_text())
    names = list(source)
    target = {name: index for index, name in enumerate([*names[:2], *reversed(names[2:-1]), names[-1]])}
    (tmp_path / "target_vocab.json").write_text(json.dumps(target))
    (tmp_path / "tokenizer_config.json").write_text(
        '{"source_lang": "en", "target_lang": "de", "separate_vocabs": true}'
    )
    config = {"model_type": "marian", "vocab_size": size, "decoder_vocab_size": size + 3, "decoder_start_token_id": 9}
    (tmp_path / "config.json").write_text(json.dumps({**config, "pad_token_id": size - 1, "eos_token_id": 0}))
    tokenizer = PretrainedTokenizer(tmp_path, PretrainedOptions())
    assert not tokenizer.joint
    assert (tokenizer.source_vocab_size, tokenizer.target_vocab_size) == (size, size + 3)
    assert tokenizer.symbols.bos == 9
    ids, written = tokenizer.encode_source("das haus").ids, tokenizer.encode_target("das haus", ())
    assert ids[:-1] != written
    assert tokenizer.source_pieces(ids)[:-1] == tokenizer.target_pieces(written)
    assert tokenizer.decode(written, ()) == "das haus"


def test_a_tokenizer_of_another_network_is_rejected(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["t5"], tmp_path / "odd")
    config = json.loads((tmp_path / "odd" / "config.json").read_text())
    (tmp_path / "odd" / "config.json").write_text(json.dumps({**config, "vocab_size": 10}))
    tokenizer = PretrainedTokenizer(tmp_path / "odd", PretrainedOptions())
    with pytest.raises(TokenizerError, match=r"source id \d+, but its network has only 10 ids: they do not match"):
        tokenizer.encode_source("the house is small")


def test_a_folder_without_a_tokenizer_is_rejected_by_name(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="its tokenizer cannot be loaded"):
        PretrainedTokenizer(tmp_path, PretrainedOptions())
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(TokenizerError, match=r"no vocabulary: none of .*tokenizer\.json"):
        PretrainedTokenizer(tmp_path, PretrainedOptions())


def test_code_in_the_folder_of_a_tokenizer_is_never_run(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["t5"], tmp_path / "odd")
    (tmp_path / "odd" / "own.py").write_text("raise SystemExit('code of a stranger was run')")
    for name in ("config.json", "tokenizer_config.json"):
        content = json.loads((tmp_path / "odd" / name).read_text())
        content |= {"auto_map": {"AutoTokenizer": ["own.Own", None], "AutoConfig": "own.Config"}}
        (tmp_path / "odd" / name).write_text(json.dumps({**content, "tokenizer_class": "Own", "model_type": "own"}))
    with pytest.raises(TokenizerError, match="its tokenizer cannot be loaded"):
        PretrainedTokenizer(tmp_path / "odd", PretrainedOptions())


def test_a_missing_extra_gives_the_install_command(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"pip install 'seqloom\[hf\]'"):
        PretrainedTokenizer(folders["t5"], PretrainedOptions())
