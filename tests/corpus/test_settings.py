import pytest
from pydantic import TypeAdapter, ValidationError

from seqloom.corpus.settings import Source

WHEEL = {"kind": "package", "package": "p", "version": "1", "sha256": "0" * 64}
MINE = {"kind": "file", "path": "data/local/p.tsv"}
REMOTE = {"kind": "url", "url": "https://e.org/p", "sha256": "0" * 64}


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
    ],
)
def test_which_files_hold_pairs(source, pattern):
    assert read(source).pattern == pattern


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ({**WHEEL, "format": "json_catalogue"}, "json_catalogue has a file per language"),
        ({**REMOTE, "format": "moses", "members": "*.en"}, "moses has a file per language"),
        ({**MINE, "format": "moses"}, "moses has a file per language"),
        ({**MINE, "path": "data/local/p.{lang}", "format": "tsv"}, "a tsv holds both languages"),
        ({**WHEEL, "format": "gettext"}, "gettext needs members"),
        ({**MINE, "format": "tsv", "target_column": 0}, "are both 0; they must differ"),
        ({**MINE, "path": "/elsewhere/p.tsv", "format": "tsv"}, "outside data/local"),
        ({**MINE, "path": "data/local/../../p.tsv", "format": "tsv"}, "outside data/local"),
        ({**REMOTE, "url": "https://user:word@e.org/p", "format": "tsv"}, "should match pattern"),
        ({**REMOTE, "url": "ftp://e.org/p", "format": "tsv"}, "should match pattern"),
        ({**REMOTE, "sha256": "abc", "format": "tsv"}, "should match pattern"),
        ({**REMOTE, "format": "xml"}, "'tsv', 'moses', 'json_catalogue' or 'gettext'"),
    ],
)
def test_what_cannot_work_is_refused(source, fault):
    with pytest.raises(ValidationError, match=fault):
        read(source)
