import pytest

from seqloom.documents.checks import harmed, hide


def test_placeholders_that_models_do_not_know_are_hidden() -> None:
    hidden, put_back = hide("Dear %{name}, %ld of {total} <%= x %> %{name} 5%%")
    assert hidden == "Dear {x1}, {x2} of {total} {x3} {x1} 5{x4}"
    assert put_back("{x4} {x3} {x2} {x1}") == "%% <%= x %> %ld %{name}"
    assert hide("$t(a.b) and @:c.d at 5 @ 3")[0] == "{x1} and {x2} at 5 @ 3"


def test_a_hidden_placeholder_never_takes_a_name_of_the_text() -> None:
    hidden, put_back = hide("{x1} %{a}")
    assert hidden == "{x1} {x1001}"
    assert put_back(hidden) == "{x1} %{a}"


def test_text_without_such_placeholders_stays() -> None:
    assert hide("Save {a} to %s <b>now</b>")[0] == "Save {a} to %s <b>now</b>"


@pytest.mark.parametrize(
    ("source", "target", "bad"),
    [
        ("{a} b", "B {a}", False),
        ("{a} b", "B", True),
        ("b", "{a}", True),
        ("%s of %d", "%s von %d", False),
        ("%s of %d", "%d von %s", True),
        ("%1$s of %2$d", "%2$d von %1$s", False),
        ("%(a)s of %(n)d", "%(n)d von %(a)s", False),
        ("%d%% done", "%d%% fertig", False),
        ("%d%% done", "%d % fertig", True),
        ("50% done", "50 % fertig", False),
        ("%ld of %s", "%s von %ld", True),
        ("<g1>a</g1>", "<g1>A</g1>", False),
    ],
)
def test_lost_and_reordered_placeholders_are_found(source: str, target: str, bad: bool) -> None:
    assert harmed(source, target) is bad
