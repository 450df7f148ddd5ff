"""Catalogues of languages with different plural forms."""

import json

from seqloom.corpus.reading import LeftOut, RawPair, read_corpus
from seqloom.corpus.source_settings import FileSource
from seqloom.languages import Direction


def found(members, source, target):
    files = {"c/en.json": json.dumps(source), "c/pl.json": json.dumps(target)}
    settings = FileSource(kind="file", path="data/local/c", format="json_catalogue", members="c/{lang}.json")
    return [each for _, each in read_corpus(members(files), settings, [Direction("en", "pl")])]


def test_a_form_missing_from_the_source_pairs_with_its_form_other(members):
    source = {"day_one": "{{count}} day", "day_other": "{{count}} days", "end": "End"}
    target = {"day_one": "a", "day_few": "b", "day_many": "c", "day_other": "d", "end": "e", "gone_few": "f"}
    assert found(members, source, target) == [
        RawPair("{{count}} day", "a", ""),
        RawPair("{{count}} days", "d", ""),
        RawPair("End", "e", ""),
        RawPair("{{count}} days", "b", ""),
        RawPair("{{count}} days", "c", ""),
        LeftOut("no source", "c/pl.json: line 1", "f"),
    ]


def test_numbered_forms_of_older_catalogues_are_paired(members):
    source = {"day": "{{count}} day", "day_plural": "{{count}} days"}
    target = {"day_0": "a", "day_1": "b"}
    pairs = [each for each in found(members, source, target) if isinstance(each, RawPair)]
    assert pairs == [RawPair("{{count}} days", "a", ""), RawPair("{{count}} days", "b", "")]


def test_a_form_missing_from_the_target_is_counted(members):
    out = found(members, {"day_one": "a day", "day_other": "days"}, {"day_other": "x"})
    assert out == [LeftOut("not translated", "c/en.json: line 1", "a day"), RawPair("days", "x", "")]
