"""Which side and direction follow from the settings, and which settings contradict each other."""

import pytest

from seqloom.corpus.monolingual_settings import FileTexts
from seqloom.corpus.settings import Languages
from seqloom.languages import Direction
from seqloom.params import load_params
from seqloom.synthesis.plan import check_synthesis, plans
from seqloom.synthesis.settings import SynthesisSettings
from tests.records import PARAMS

MODEL = "models:/seqloom-de-en/3"
ONE = Languages(source="en", target="de")
SEVERAL = Languages(source="en", target=["de", "fr"])
MONOLINGUAL = {"news": FileTexts(kind="file", path="data/local/news.txt", format="text", language="de")}


def synthesis(**changes):
    return {"made": SynthesisSettings(**{"corpus": "home_assistant", "model": MODEL} | changes)}


def faults(languages=ONE, **changes):
    return dict(check_synthesis(synthesis(**changes), languages, load_params(PARAMS).corpora, MONOLINGUAL))


@pytest.mark.parametrize(
    ("changes", "side", "decoded"),
    [
        ({}, 0, Direction("en", "de")),
        ({"side": "target"}, 1, Direction("de", "en")),
        ({"corpus": "news"}, 1, Direction("de", "en")),
    ],
)
def test_the_side_and_the_direction_of_the_model(changes, side, decoded):
    assert not faults(**changes)
    (plan,) = plans(synthesis(**changes), ONE, MONOLINGUAL)
    assert (plan.side, plan.decoded, plan.direction) == (side, decoded, Direction("en", "de"))


def test_with_several_directions_one_must_be_named():
    assert "several are possible: en-de, en-fr" in faults(SEVERAL)["made.direction"]
    assert not faults(SEVERAL, direction={"source": "en", "target": "fr"})
    assert not faults(SEVERAL, corpus="news")  # German occurs in one direction only


@pytest.mark.parametrize(
    ("field", "changes", "message"),
    [
        ("corpus", {"corpus": "gone"}, "valid are news, home_assistant"),
        ("corpus", {"corpus": "news", "side": "source"}, "(de) are on no such side"),
        ("direction", {"direction": {"source": "en", "target": "it"}}, "valid are en-de"),
        ("n_best", {"corpus": "news", "n_best": 2}, "no reference to compare"),
        ("noise", {"noise": {"delete": 0.1}}, "is for back-translation"),
    ],
)
def test_contradictions(field, changes, message):
    assert message in faults(**changes)[f"made.{field}"]


@pytest.mark.parametrize(
    "model", ["models:/m@champion", "models:/m", "/abs/folder", "data/local/../x", "models/candidate"]
)
def test_a_model_that_may_change_unnoticed_is_refused(model):
    with pytest.raises(ValueError, match="must name a version by number"):
        synthesis(model=model)
