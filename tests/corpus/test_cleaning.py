from pathlib import Path

import pytest

from seqloom.corpus.cleaning import Cleaner, length, strip_markup, tidy, words
from seqloom.params import load_params
from seqloom.text import Forms


def dropped(settings, source, target):
    return Cleaner(settings).clean(source, target).dropped


@pytest.mark.parametrize(
    ("rules", "source", "target", "rule"),
    [
        ({}, "a", "b", None),
        ({}, " \u200b", "b", "empty"),
        ({}, "a", "\t\n", "empty"),
        ({"drop_copies": True}, "WQHD  120 Hz", "WQHD 120 Hz", "copy"),
        ({"drop_copies": True}, "WQHD 120 Hz", "WQHD 120 hz", None),
        ({"drop_urls": True}, "see HTTPS://e.org now", "b", "url"),
        ({"drop_urls": True}, "a", "siehe www.e.org", "url"),
        ({"drop_urls": True}, "the URL e.org", "b", None),
        ({"drop_messages": True}, "{n, plural, one {# file} other {# files}}", "b", "message"),
        ({"drop_messages": True}, "a", "[%key:common::ok%]", "message"),
        ({"drop_messages": True}, "a $t(common.ok)", "b", "message"),
        ({"drop_messages": True}, "{name}, {other} [50%]", "b", None),
        ({"same_placeholders": True}, "{a} and {b}", "{b} und {a}", None),
        ({"same_placeholders": True}, "{a} and {a}", "{a} und a", "placeholders"),
        ({"same_placeholders": True}, "<b>a</b>", "<b>b</b>", None),
        ({"same_placeholders": True}, "<b>a</b>", "<b>b", "placeholders"),
        ({"same_placeholders": True}, "%(n)d of %s", "%s von %(n)d", None),
        ({"same_placeholders": True}, "%(n)d", "%(m)d", "placeholders"),
        ({"same_placeholders": True}, "%1 of %2", "%2: %1", None),
        ({"same_placeholders": True}, "Delete %1?", "Löschen?", "placeholders"),
        ({"same_placeholders": True}, "5%, 10 % or 100%1", "5 %, 10% oder 100 %", None),
        ({"min_words": 2}, "absolute humidity", "Luftfeuchtigkeit", None),
        ({"min_words": 2}, "humidity", "Luftfeuchtigkeit", "min_words"),
        ({"max_words": 2}, "a b", "a b c", "max_words"),
        ({"max_words": 3}, "a b", "a b c", None),
        ({"max_characters": 3}, "abc", "abcd", "max_characters"),
        ({"max_characters": 4}, "abc", "abcd", None),
        ({"min_letter_share": 0.5}, "ab 12", "cd 12", None),
        ({"min_letter_share": 0.5}, "ab 123", "cd", "letters"),
        ({"min_letter_share": 0.5}, "{hostname} ({ip_address})", "{hostname} ({ip_address})", "letters"),
        ({"min_letter_share": 0.5}, "{host}", "{host}", "letters"),
        ({"min_letter_share": 1.0}, "कि", "कि", None),  # a vowel sign is a mark, not a letter
        ({"max_length_ratio": 2.0}, "abcd", "ab", None),
        ({"max_length_ratio": 2.0}, "ab", "abcde", "length_ratio"),
    ],
)
def test_each_rule_drops_its_pairs(clean_settings, rules, source, target, rule):
    assert dropped(clean_settings(**rules), source, target) == rule
    if rule != "empty":
        assert dropped(clean_settings(), source, target) is None  # a disabled rule drops nothing


def test_the_first_matching_rule_is_reported(clean_settings):
    settings = clean_settings(drop_copies=True, drop_urls=True, max_words=1)
    assert dropped(settings, "http://e.org a", "http://e.org a") == "copy"
    assert dropped(settings, "http://e.org a", "http://e.org b") == "url"


def test_only_enabled_rules_are_applied(clean_settings):
    assert [rule.name for rule in Cleaner(clean_settings()).rules] == ["empty"]
    everything = clean_settings(
        drop_urls=True, drop_messages=True, same_placeholders=True, min_words=1, max_words=9, max_characters=9,
        min_letter_share=0.1, max_length_ratio=2.0, drop_copies=True,
    )  # fmt: skip
    names = ["empty", "copy", "url", "message", "placeholders", "min_words", "max_words", "max_characters", "letters"]
    assert [rule.name for rule in Cleaner(everything).rules] == [*names, "length_ratio"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("See [the docs]({url}#x) now", "See the docs now"),
        ('[a](http://e.org "title") [b](c(d))', "a b"),
        ("![logo](x.png)", "logo"),
        ("array[0](call) [not a link] (really)", "array0 [not a link] (really)"),
        ("**bold** and *slanted* and ***both***", "bold and slanted and both"),
        ("2 * 3 * 4, a*b*c, **", "2 * 3 * 4, a*b*c, **"),
        ("* one\n* two", "* one\n* two"),
        ("Use `code` here", "Use code here"),
        ("```yaml\na: {b}\n```", "\na: {b}\n"),
        ("## Title\ntext #1 # not", "Title\ntext #1 # not"),
        ("snake_case_name and __init__", "snake_case_name and __init__"),
        ("<b>kept</b> {kept} %s", "<b>kept</b> {kept} %s"),
        ("**{name}**: `{value}`", "{name}: {value}"),
    ],
)
def test_markup_is_stripped(text, shown):
    assert strip_markup(text) == shown


def test_unescaping_and_stripping_can_be_disabled(clean_settings):
    text = "&auml;  **b** &amp;nbsp;"
    assert tidy(text, clean_settings()) == "&auml; **b** &amp;nbsp;"
    assert tidy(text, clean_settings(unescape_html=True)) == "ä **b** &nbsp;"
    assert tidy(text, clean_settings(unescape_html=True, strip_markup=True)) == "ä b &nbsp;"


@pytest.mark.parametrize(
    "hostile", ["[" * 5000, "[a](" * 3000, "*a" * 5000, "(" * 5000 + "[a](" + "(" * 5000, "`" * 9999]
)
def test_malicious_text_is_cleaned_in_linear_time(clean_settings, hostile):
    # Quadratic time would take minutes at this size and exceed the suite's timeout.
    strip_markup(hostile * 4)


def test_rules_see_normalised_text(clean_settings):
    cleaned = Cleaner(clean_settings(drop_copies=True)).clean("u\u0308ber\u00ad\r\n alles", "\u00fcber alles")
    assert cleaned == ("über alles", "über alles", "copy")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("one", 1), ("one two", 2), ("保存", 2), ("ファイル", 4), ("保存 OK", 3), ("저장", 1), ("파일 저장", 2),
        ("บันทึก", 2), ("Öffnen Sie", 2), ("第3章", 3),
    ],
)  # fmt: skip
def test_words_are_counted_by_script(text, count):
    assert words(text) == count


@pytest.mark.parametrize(("text", "letters"), [("Save", 4), ("保存", 6), ("かな", 4), ("저장", 4), ("บท", 2), ("é", 1)])
def test_lengths_are_scaled_by_script(text, letters):
    assert length(text) == letters


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("扉東を一回閉めてください", "请把東号门关一次"),
        ("Please close the door of the kitchen", "请关上厨房的门"),
        ("โปรดปิดประตูห้องครัวก่อนออกจากบ้าน", "Please close the kitchen door before you leave"),
        ("주방 문을 닫아 주세요", "台所のドアを閉めてください"),
        ("Save", "保存"),
    ],
)
def test_the_default_rules_keep_pairs_of_scripts_without_spaces(source, target):
    defaults = load_params(Path(__file__).parents[2] / "params.yaml").prepare.clean
    for pair in ((source, target), (target, source)):
        assert Cleaner(defaults).clean(*pair).dropped is None


def test_the_forms_of_placeholders_can_be_set(clean_settings):
    settings = clean_settings(same_placeholders=True, min_letter_share=0.5)
    cleaner = Cleaner(settings, Forms([], [r"@\w+@"]))
    assert cleaner.clean("go @now@", "geh").dropped == "placeholders"
    assert cleaner.clean("go {x}", "geh zu").dropped is None
    assert cleaner.clean("@1234@ go", "@1234@ geh").dropped is None
    assert Cleaner(settings).clean("@1234@ go", "@1234@ geh").dropped == "letters"
