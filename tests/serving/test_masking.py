import pytest

from seqloom.serving.masking import mask
from seqloom.text import Forms


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Open [X12X] now", "Open {0} now"),
        ("{0} and [X1X] and [X1X]", "{0} and {1} and {2}"),
        ("__PH_1__, please", "{0}, please"),
        ("nothing {name}", "nothing {name}"),
    ],
)
def test_placeholders_of_platforms_are_masked_and_restored(text, masked):
    found = mask(text, Forms())
    assert found.text == masked
    assert found.restore(found.text) == text


@pytest.mark.parametrize("forms", [Forms(["platform", "braces"]), Forms(["tags"])])
def test_a_model_that_knows_them_or_has_no_braces_gets_the_text_itself(forms):
    assert mask("Open [X12X]", forms).text == "Open [X12X]"


def test_a_placeholder_is_restored_wherever_it_went():
    assert mask("[X1X] is [X2X]", Forms()).restore("{1} ist {0}") == "[X2X] ist [X1X]"
