"""The formats by name: what params.yaml calls a format is looked up here and nowhere else."""

from collections.abc import Callable, Iterator

from seqloom.corpus.formats.gettext import read_gettext
from seqloom.corpus.formats.json_catalogue import read_json_catalogue
from seqloom.corpus.formats.moses import read_moses
from seqloom.corpus.formats.raw import RawPair
from seqloom.corpus.formats.tsv import read_tsv
from seqloom.corpus.members import Members
from seqloom.corpus.settings import Format, Languages, Source

Reader = Callable[[Members, Source, Languages], Iterator[RawPair]]

FORMATS: dict[Format, Reader] = {
    "tsv": lambda members, source, _: read_tsv(members, source.pattern, source.source_column, source.target_column),
    "moses": lambda members, source, languages: read_moses(members, source.pattern or "", languages),
    "json_catalogue": lambda members, source, languages: read_json_catalogue(members, source.pattern or "", languages),
    "gettext": lambda members, source, languages: read_gettext(members, source.pattern or "", languages),
}
