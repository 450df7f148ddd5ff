import pytest

from seqloom.formats.language_tags import matches


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("en-US", "en"), ("en_US", "en"), ("EN", "en"), ("zh-CN", "zh-Hans"), ("zh-Hans", "zh-CN"),
        ("zh-HK", "zh-Hant"),
        ("zh-Hant-HK", "zh-HK"), ("pt_BR", "pt-BR"), ("sr@latin", "sr-Latn"), ("sr-Cyrl-RS", "sr"), ("iw", "he"),
        ("de_AT.UTF-8", "de"), ("nb", "no"), ("no", "nb"), ("es-419", "es"), ("de-1996", "de"), ("en-x-private", "en"),
    ],
)  # fmt: skip
def test_matching_languages(given, wanted):
    assert matches(given, wanted)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("en", "en-GB"), ("pt", "pt-BR"), ("zh-TW", "zh"), ("zh_TW", "zh-Hans"), ("sr@latin", "sr"), ("sr-Latn", "sr"),
        ("yue", "zh"), ("*all*", "en"), ("", "en"), ("e n", "en"), ("x" * 99, "en"), ("\0", "en"), ("en-GB", "en-US"),
    ],
)  # fmt: skip
def test_different_languages(given, wanted):
    assert not matches(given, wanted)
