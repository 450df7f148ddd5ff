import json
import os
import subprocess
import sys
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqloom.errors import TokenizerError
from seqloom.symbols import SPECIAL_IDS
from seqloom.text import normalise
from seqloom.tokenization.slots import slot_symbols
from seqloom.tokenization.tokenizer import Encoded
from tests.examples import examples

WRITTEN = [
    "a {name} b",
    "{name}:",
    "<b>the lamp</b>",
    "%s",
    "{name}{name}",
    "Open {name}, {name}!",
    "{a} {b} {c} {d} {e} {f}",
]
KNOWN = [*"Turn ofhelampgkzüÖ 0123:!", "{name}"]


@pytest.mark.parametrize("text", WRITTEN)
def test_decoding_restores_placeholders_and_spaces_exactly(trained, text):
    for algorithm in ("unigram", "bpe"):
        tokenizer = trained(algorithm=algorithm)
        ids, slots = tokenizer.encode_source(text)
        assert tokenizer.decode(ids, slots) == text
        assert tokenizer.decode(tokenizer.encode_target(text, slots), slots) == text


def test_a_slot_is_a_single_id(every_kind):
    short, long = every_kind.encode_source("Open {x}"), every_kind.encode_source("Open %(a_very_long_name)s")
    assert short.ids == long.ids
    assert (short.slots, long.slots) == (("{x}",), ("%(a_very_long_name)s",))
    assert every_kind.decode(every_kind.encode_target("{x}", ["{x}"]), ["%s"]) == "%s"


def test_placeholders_beyond_the_number_of_slots_are_spelled_out(trained):
    tokenizer = trained(slots=4)
    encoded = tokenizer.encode_source("{a} {b} {c} {d} {e}")
    assert encoded.slots == ("{a}", "{b}", "{c}", "{d}")
    assert tokenizer.decode(encoded.ids, encoded.slots) == "{a} {b} {c} {d} {e}"


def test_a_placeholder_that_the_source_lacks_is_spelled_out(trained):
    tokenizer = trained()
    ids = tokenizer.encode_target("{other} und {name}", ["{name}"])
    assert tokenizer.decode(ids, ["%s"]) == "{other} und %s"


def test_a_slot_that_the_source_lacks_is_dropped(trained):
    tokenizer = trained()
    ids = tokenizer.encode_target("Open {a} {b} now", ["{a}", "{b}"])
    assert tokenizer.decode(ids, ["{a}"]) == "Open {a} now"
    assert tokenizer.decode(ids, []) == "Open now"


def test_special_ids_have_no_text(every_kind):
    ids = every_kind.encode_target("Open the door", [])
    assert every_kind.decode(
        [SPECIAL_IDS.bos, *ids, SPECIAL_IDS.eos, SPECIAL_IDS.pad, SPECIAL_IDS.pad], []
    ) == every_kind.decode(ids, [])
    assert every_kind.decode([], []) == ""


def test_text_is_normalised_first(every_kind):
    assert every_kind.encode_source("  Open\tthe \n door\u200b ") == every_kind.encode_source("Open the door")
    assert every_kind.encode_target("Tu\u0308r", []) == every_kind.encode_target("T\u00fcr", [])


def test_text_that_holds_slot_symbols_gets_no_slot(every_kind):
    forged = slot_symbols(1)[0]
    assert every_kind.encode_source(f"Open {forged}") == every_kind.encode_source("Open")


def test_empty_text_has_no_ids(every_kind):
    assert every_kind.encode_source(" ") == Encoded([], ())
    assert every_kind.encode_target("", []) == []


def test_joint_sides_share_ids_and_separate_ones_do_not(trained):
    joint, separate = trained(), trained(joint=False, vocab_size=304)
    assert joint.joint
    assert joint.source_vocab_size == joint.target_vocab_size == 320
    assert joint.encode_source("Garten").ids == joint.encode_target("Garten", [])
    assert not separate.joint
    assert len(separate.encode_source("Tür").ids) > len(
        separate.encode_target("Tür", [])
    )  # English has no ü: two bytes


@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(max_size=40)
    | st.text(alphabet="ab ▁▅{}<>s/%\u2047\uf8ff\u0301٣🙂é0x", max_size=20)
    | st.sampled_from(WRITTEN)
)
def test_byte_fallback_restores_any_text_normalised(trained, text):
    for algorithm in ("unigram", "bpe"):
        tokenizer = trained(algorithm=algorithm)
        ids, slots = tokenizer.encode_source(text)
        assert SPECIAL_IDS.unk not in ids
        assert all(3 < token < tokenizer.source_vocab_size for token in ids)
        assert tokenizer.decode(ids, slots) == normalise(text)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(st.sampled_from(KNOWN), max_size=40).map("".join))
def test_known_characters_are_restored_without_byte_fallback(trained, text):
    for kind in ({"byte_fallback": False, "vocab_size": 68}, {"name": "characters"}):
        tokenizer = trained(**kind)
        ids, slots = tokenizer.encode_source(text)
        assert tokenizer.decode(ids, slots) == normalise(text)


@pytest.mark.parametrize("kind", [{"byte_fallback": False, "vocab_size": 68}, {"name": "characters"}])
def test_an_unknown_character_is_unk_and_visible(trained, kind):
    tokenizer = trained(**kind)
    ids, slots = tokenizer.encode_source("the 字 lamp")
    assert ids.count(SPECIAL_IDS.unk) == 1
    assert tokenizer.decode(ids, slots) == "the \N{REPLACEMENT CHARACTER} lamp"


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(st.integers(0, 319), max_size=20))
def test_any_ids_decode_to_normalised_text(trained, ids):
    text = trained().decode(ids, ["{name}"])
    assert text == normalise(text)


# --- several target languages

KINDS = [{"algorithm": "unigram"}, {"algorithm": "bpe"}, {"joint": False, "vocab_size": 304}, {"name": "characters"}]


@pytest.mark.parametrize("kind", KINDS)
def test_the_source_begins_with_its_target_language(trained, kind):
    plain, multilingual = trained(**kind), trained(languages=("de", "fr"), **kind)
    assert (plain.languages, multilingual.languages) == ((), ("de", "fr"))
    german, french = (multilingual.encode_source("Open {x}", language) for language in ("de", "fr"))
    assert german.ids[0] != french.ids[0]
    assert german.ids[1:] == french.ids[1:]
    assert multilingual.source_pieces(german.ids)[0] == "<2de>"
    assert multilingual.source_pieces(french.ids)[0] == "<2fr>"
    assert "<0>" in multilingual.source_pieces(german.ids)
    assert plain.encode_source("Open {x}", "fr") == plain.encode_source("Open {x}")  # ignored here
    assert multilingual.encode_source("", "de") == Encoded([], ())


@pytest.mark.parametrize("kind", KINDS)
def test_a_language_is_one_source_id_and_has_no_text(trained, kind):
    multilingual = trained(languages=("de", "fr"), **kind)
    ids = multilingual.encode_source("the lamp", "fr").ids
    again = multilingual.encode_source("\ue100the\ue101 lamp", "fr").ids  # a text cannot select a language
    assert again == ids
    if multilingual.joint:
        assert multilingual.decode(ids, ()) == "the lamp"
    target = multilingual.encode_target("Öffne {x}", ["{x}"], "fr")
    assert multilingual.encode_target("Öffne {x}", ["{x}"]) == target
    assert multilingual.prefix("fr") == []
    pieces = multilingual.target_pieces(range(multilingual.target_vocab_size))
    assert ("<2de>" in pieces) == multilingual.joint


@pytest.mark.parametrize(
    ("language", "message"),
    [
        (None, r"no target language is given; this model writes de, fr, es"),
        ("en", r"'en' is not a target language; this model writes de, fr, es"),
    ],
)
def test_an_invalid_language_is_rejected_naming_the_valid_ones(trained, language, message):
    for text in ("the lamp", ""):
        with pytest.raises(TokenizerError, match=message):
            trained(languages=("de", "fr", "es")).encode_source(text, language)


# --- subword regularisation


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.lists(st.sampled_from([*KNOWN, "lamp", "字", "▁", "{b}"]), min_size=1, max_size=30).map("".join),
    alpha=st.sampled_from([0.1, 0.5]),
    kind=st.sampled_from([*KINDS, {"byte_fallback": False, "vocab_size": 72}]),
)
def test_a_sampled_split_has_the_same_text_and_keeps_slots_in_place(trained, text, alpha, kind):
    tokenizer = trained(languages=("de", "fr"), **kind)
    symbols = {tokenizer.source_pieces([i])[0]: i for i in range(4, 10)}
    assert set(symbols) == {"<0>", "<1>", "<2>", "<3>", "<2de>", "<2fr>"}
    ids, slots = tokenizer.encode_source(text, "de")
    if not ids:
        return
    drawn = tokenizer.subword_sampler("source", alpha)(ids, Random(text))
    assert drawn[0] == ids[0] == symbols["<2de>"]
    assert [i for i in drawn if i in symbols.values()] == [i for i in ids if i in symbols.values()]
    assert "".join(tokenizer.source_pieces(drawn)) == "".join(tokenizer.source_pieces(ids))
    target = tokenizer.encode_target(text, slots)
    drawn = tokenizer.subword_sampler("target", alpha)(target, Random(text))
    assert tokenizer.decode(drawn, slots) == tokenizer.decode(target, slots)


def test_splits_vary_and_depend_only_on_the_seed(trained):
    tokenizer = trained()
    ids = tokenizer.encode_source("Turn on the kitchen heater").ids

    def drawn(seed):
        random, resample = Random(seed), tokenizer.subword_sampler("source", 0.1)
        return [resample(ids, random) for _ in range(10)]

    first = drawn(1)
    assert len(set(map(tuple, first))) > 1
    assert drawn(2) != first
    assert drawn(1) == first
    characters = trained(name="characters")
    ids = characters.encode_source("Turn on").ids
    assert characters.subword_sampler("source", 0.1)(ids, Random(1)) == ids


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_splits_repeat_in_another_process(trained, tmp_path, algorithm):
    trained(algorithm=algorithm, languages=("de", "fr")).save(tmp_path / "tokenizer")
    program = f"""
from pathlib import Path
from random import Random
from seqloom.tokenization.catalogue import load_tokenizer
tokenizer = load_tokenizer(Path({str(tmp_path / "tokenizer")!r}))
resample, random = tokenizer.subword_sampler("source", 0.2), Random(5)
ids = tokenizer.encode_source("Turn off the kitchen heater 12: {{name}}, Lampe!", "fr").ids
print([resample(ids, random) for _ in range(50)])
"""
    written = []
    for number, before in enumerate(["", "held = [bytes(n) for n in range(5000)]\n"]):  # also with other addresses
        environment = os.environ | {"PYTHONHASHSEED": str(number)}
        process = subprocess.run(
            [sys.executable, "-c", before + program], env=environment, capture_output=True, text=True, check=True
        )
        written.append(process.stdout)
    assert written[0] == written[1]
    assert len(set(map(tuple, json.loads(written[0])))) > 5
