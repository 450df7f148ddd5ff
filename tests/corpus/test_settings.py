import re

import pytest
from pydantic import TypeAdapter, ValidationError

from seqloom.corpus.corpora_settings import Source, check_corpora
from seqloom.corpus.settings import Languages

WHEEL = {"kind": "package", "package": "p", "version": "1", "sha256": "0" * 64}
MINE = {"kind": "file", "path": "data/local/p.tsv"}
REMOTE = {"kind": "url", "url": "https://e.org/p", "sha256": "0" * 64}


REPOSITORY = {"kind": "git", "repository": "https://e.org/p.git", "commit": "0" * 40}


def read(source):
    return TypeAdapter(Source).validate_python(source)


@pytest.mark.parametrize(
    ("source", "pattern"),
    [
        ({**WHEEL, "format": "json_catalogue", "members": "{group}/{lang}.json"}, "{group}/{lang}.json"),
        ({**WHEEL, "format": "gettext", "members": "x_de/{group}.mo"}, "x_de/{group}.mo"),
        ({**MINE, "format": "tsv"}, None),
        ({**MINE, "path": "data/local/p.{lang}.gz", "format": "moses"}, "p.{lang}.gz"),
        ({**REMOTE, "format": "tsv"}, None),
        ({**REMOTE, "format": "moses", "members": "a/*.{lang}"}, "a/*.{lang}"),
        ({**REPOSITORY, "format": "moses", "members": "a/*.{lang}"}, "a/*.{lang}"),
        ({**REPOSITORY, "repository": "git@e.org:p/q.git", "format": "tsv"}, None),
        ({**REPOSITORY, "repository": "../p", "format": "tsv"}, None),
        ({**REPOSITORY, "repository": "ssh://git@e.org:22/~p/q.git", "format": "tsv"}, None),
        ({**REPOSITORY, "repository": "https://[::1]:8/p", "format": "tsv"}, None),
    ],
)
def test_the_pattern_selects_files_with_pairs(source, pattern):
    assert read(source).pattern == pattern


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ({**WHEEL, "format": "json_catalogue"}, "json_catalogue has one file per language"),
        ({**REMOTE, "format": "moses", "members": "*.en"}, "moses has one file per language"),
        ({**MINE, "format": "moses"}, "moses has one file per language"),
        ({**MINE, "path": "data/local/p.{lang}", "format": "tsv"}, "a tsv file contains both languages"),
        ({**MINE, "path": "p.{lang}", "format": "moses", "sha256": "0" * 64}, "each language's file needs its own"),
        ({**MINE, "format": "tsv", "sha256": {"en": "0" * 64}}, "path has no {lang}"),
        ({**WHEEL, "format": "gettext"}, "is required for gettext"),
        (
            {**MINE, "format": "tsv", "target_column": 0},
            r"source_column\s.*must differ from target_column; both are 0",
        ),
        ({**MINE, "path": "/elsewhere/p.tsv", "format": "tsv"}, "outside data/local"),
        ({**MINE, "path": "data/local/../../p.tsv", "format": "tsv"}, "outside data/local"),
        ({**REMOTE, "url": "https://user:word@e.org/p", "format": "tsv"}, "should match pattern"),
        ({**REMOTE, "url": "ftp://e.org/p", "format": "tsv"}, "should match pattern"),
        ({**REMOTE, "sha256": "abc", "format": "tsv"}, "should match pattern"),
        ({**REPOSITORY, "repository": "https://user:word@e.org/p", "format": "tsv"}, "should match pattern"),
        ({**REPOSITORY, "repository": "ext::sh -c x", "format": "tsv"}, "should match pattern"),
        ({**REPOSITORY, "repository": "--upload-pack=x", "format": "tsv"}, "should match pattern"),
        ({**REPOSITORY, "repository": "ssh://-oProxyCommand=x/p", "format": "tsv"}, "should match pattern"),
        ({**REPOSITORY, "repository": "ssh://-oProxyCommand=x@e.org/p", "format": "tsv"}, "should match pattern"),
        ({**REPOSITORY, "repository": "ssh://e.org:-oX/p", "format": "tsv"}, "should match pattern"),
        ({**REPOSITORY, "repository": "-oX@e.org:p", "format": "tsv"}, "should match pattern"),
        ({**REPOSITORY, "repository": "git@-oX:p", "format": "tsv"}, "should match pattern"),
        ({**REPOSITORY, "repository": "git@e.org:-p", "format": "tsv"}, "should match pattern"),
        ({**REPOSITORY, "repository": "https://-e.org/p", "format": "tsv"}, "should match pattern"),
        ({**REPOSITORY, "repository": "https://u:p%40h/p", "format": "tsv"}, "should match pattern"),
        ({**REPOSITORY, "repository": "ssh://e.org:70000/p", "format": "tsv"}, "not a valid address"),
        ({**REMOTE, "members": "*" + "a*" * 8, "format": "tsv"}, "has 9 wildcards"),
        ({**REMOTE, "max_bytes": 10**16, "format": "tsv"}, "less than or equal to 1000000000000000"),
        ({**REPOSITORY, "branch": "-x", "format": "tsv"}, "should match pattern"),
        ({**REPOSITORY, "commit": "main", "format": "tsv"}, "should match pattern"),
        ({**WHEEL, "watch": "newest", "format": "tsv"}, r"watch\s.*is not a valid version specifier: 'newest'"),
        ({**REMOTE, "format": "xml"}, "'tmx', 'tsv', 'xliff', 'yaml_catalogue'; got 'xml'"),
    ],
)
def test_invalid_sources_are_rejected(source, fault):
    with pytest.raises(ValidationError, match=fault):
        read(source)


def test_languages_may_be_single_or_lists():
    def directions(source, target):
        return [str(each) for each in Languages(source=source, target=target).directions]

    assert directions("en", "de") == ["en-de"]
    assert directions("en", ["de", "pt-BR"]) == ["en-de", "en-pt-BR"]
    assert directions(["en", "de"], ["de", "en"]) == ["en-de", "de-en"]
    assert directions("en", "en") == ["en-en"]
    for source, target in (("en", "de"), ("en", "en"), (["en", "de"], "de"), (["en", "de"], ["de", "en", "fr"])):
        one = Languages(source=source, target=target)
        assert one.count == len(one.directions)
    assert Languages(source=["en", "de"], target=["en", "de", "fr"]).target_languages == ["de", "fr", "en"]
    for source, target in ((["en", "en"], "de"), ([], "de"), ("en", "German"), (["en", 3], "de")):
        with pytest.raises(ValidationError):
            Languages(source=source, target=target)


EN_DE = {"source": "en", "target": "de"}
SEVERAL = Languages(source="en", target=["de", "fr"])
EITHER_WAY = Languages(source=["en", "de"], target=["en", "de"])
CATALOGUE = {**WHEEL, "format": "json_catalogue", "members": "{group}/{lang}.json"}
GETTEXT = {**WHEEL, "format": "gettext", "members": "{lang}/{group}.mo"}


@pytest.mark.parametrize(
    ("source", "languages", "read_as"),
    [
        ({**MINE, "format": "tsv"}, Languages(source="en", target="de"), ["en-de"]),
        ({**MINE, "format": "tsv", "direction": EN_DE}, SEVERAL, ["en-de"]),
        (CATALOGUE, SEVERAL, ["en-de", "en-fr"]),
        (CATALOGUE, EITHER_WAY, ["en-de", "de-en"]),
        ({**CATALOGUE, "direction": EN_DE}, EITHER_WAY, ["en-de"]),
        (GETTEXT, SEVERAL, ["en-de", "en-fr"]),
        ({**GETTEXT, "members": "x_de/{group}.mo", "direction": EN_DE}, SEVERAL, ["en-de"]),
    ],
)
def test_directions_follow_from_languages_or_the_corpus(source, languages, read_as):
    corpus = read(source)
    assert not list(check_corpora({"c": corpus}, languages))
    assert [str(direction) for direction in corpus.directions(languages)] == read_as


@pytest.mark.parametrize(
    ("source", "languages", "fault"),
    [
        (
            {**MINE, "format": "tsv"}, SEVERAL,
            r"c: the format tsv has one direction: set direction to one of {source: en, target: de}, {source: en, ",
        ),
        ({**GETTEXT, "members": "x_de/{group}.mo"}, SEVERAL, r"c: the format gettext has one direction"),
        (GETTEXT, EITHER_WAY, r"c: the format gettext has one direction"),
        (
            {**MINE, "format": "tsv", "direction": {"source": "de", "target": "en"}}, SEVERAL,
            r"c\.direction: is de-en, which is not in languages; valid are {source: en, target: de}, ",
        ),
    ],
)  # fmt: skip
def test_an_ambiguous_direction_is_an_error(source, languages, fault):
    (message,) = [f"{field}: {message}" for field, message in check_corpora({"c": read(source)}, languages)]
    assert re.match(fault, message)


def test_each_language_of_a_pinned_file_needs_its_sha256():
    corpus = read({**MINE, "path": "p.{lang}", "format": "moses", "sha256": {"en": "0" * 64, "de": "0" * 64}})
    assert not list(check_corpora({"c": corpus}, Languages(source="en", target="de")))
    assert list(check_corpora({"c": corpus}, SEVERAL)) == [("c.sha256", "has no entry for fr")]


def test_many_languages_are_checked_quickly():
    codes = [a + b for a in "abcdefghijklmnop" for b in "abcdefghijklmnop"]
    many = Languages(source=codes, target=codes)
    corpora = {f"c{n}": read({**MINE, "format": "tsv"}) for n in range(20)}
    faults = list(check_corpora(corpora, many))
    assert len(faults) == 20
    assert faults[0][1].endswith("{source: aa, target: be}, 65,260 more")


def test_the_languages_of_several_directions_are_listed_once():
    several = Languages.model_validate({"source": ["en", "de"], "target": ["de", "fr"]})
    assert read({**MINE, "format": "tsv"}).languages(several) == ["en", "de", "fr"]


@pytest.mark.parametrize(
    ("more", "every"),
    [({}, True), ({"source_column": "en", "target_column": "de"}, False)],
)
def test_a_parquet_file_has_all_directions_if_they_are_fields_of_one_column(more, every):
    several = Languages.model_validate({"source": "en", "target": ["de", "fr"]})
    assert read({**MINE, "format": "parquet", **more}).has_all_directions(several) == every
