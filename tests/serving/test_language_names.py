import pytest

from seqloom.serving.language_names import language_name


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("de", "German"),
        ("PT_br", "Portuguese (Brazil)"),
        ("zh-Hant", "Chinese (traditional)"),
        ("sr-Latn-RS", "Serbian (Latin, RS)"),
        ("tlh", "tlh"),
    ],
)
def test_names(code, name):
    assert language_name(code) == name
