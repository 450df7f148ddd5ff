import pytest

from seqloom.formats.plurals import Plurals, plurals_of


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("nplurals=2; plural=(n != 1);", Plurals(2, 0, False)),
        ("nplurals=2; plural=n>1;", Plurals(2, 0, False)),
        ("nplurals=1; plural=0;", Plurals(1, None, False)),
        ("nplurals=2; plural=(n==1);", Plurals(2, 1, False)),
        (
            "nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2);",
            Plurals(3, 0, True),
        ),
        ("nplurals=3; plural=(n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<12 || n%100>14) ? 1 : 2);", Plurals(3, 0, False)),
        ("nplurals=6; plural=n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : n%100>=11 ? 4 : 5;",
         Plurals(6, 1, False)),
        ("nplurals = 2; plural = !(n == 1);", Plurals(2, 0, False)),
        ("nplurals=3; plural=2-(n==1)*2+n*0/1;", Plurals(3, 0, False)),
    ],
)  # fmt: skip
def test_the_singular_form_is_found(rule, expected):
    assert plurals_of(f"Plural-Forms: {rule}\n") == expected


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "nplurals=2;",
        "nplurals=2; plural=",
        "nplurals=2; plural=n%0;",
        "nplurals=2; plural=n;",
        "nplurals=0; plural=0;",
        "nplurals=2; plural=__import__('os');",
        "nplurals=2; plural=n ? 1;",
        "nplurals=2; plural=(n;",
        "nplurals=2; plural=n n;",
        "nplurals=2; plural=" + "(" * 200 + "n" + ")" * 200 + ";",
        "nplurals=2; plural=" + "n?1:" * 120 + "1;",
        "nplurals=EXPRESSION; plural=INTEGER;",
    ],
)
def test_invalid_rules_give_none(rule):
    assert plurals_of(f"Plural-Forms: {rule}\n") is None


def test_each_form_translates_the_singular_or_the_plural():
    german, russian, japanese = Plurals(2, 0, False), Plurals(3, 0, True), Plurals(1, None, False)
    assert german.source(0, "one file", "%d files", "eine Datei") == "one file"
    assert german.source(1, "one file", "%d files", "%d Dateien") == "%d files"
    assert japanese.source(0, "one file", "%d files", "%d fairu") == "%d files"
    assert russian.source(0, "%d file", "%d files", "%d fail") == "%d file"
    assert russian.source(0, "one file", "%d files", "%d fail") == "%d files"
