"""The formats by name: what params.yaml calls a format is looked up here and nowhere else."""

from collections.abc import Callable, Iterator

from seqloom.corpus.formats.gettext import read_gettext
from seqloom.corpus.formats.json_catalogue import read_json_catalogue
from seqloom.corpus.formats.moses import read_moses
from seqloom.corpus.formats.raw import RawPair
from seqloom.corpus.formats.tmx import read_tmx
from seqloom.corpus.formats.tsv import read_tsv
from seqloom.corpus.formats.xliff import read_xliff
from seqloom.corpus.members import Members
from seqloom.corpus.settings import Format, Source
from seqloom.languages import Direction

Reader = Callable[[Members, Source, Direction], Iterator[RawPair]]

FORMATS: dict[Format, Reader] = {
    "tsv": lambda members, source, _: read_tsv(members, source.pattern, source.source_column, source.target_column),
    "moses": lambda members, source, direction: read_moses(members, source.pattern or "", direction),
    "json_catalogue": lambda members, source, direction: read_json_catalogue(members, source.pattern or "", direction),
    "gettext": lambda members, source, direction: read_gettext(members, source.pattern or "", direction),
    "tmx": lambda members, source, direction: read_tmx(members, source.pattern, direction),
    "xliff": lambda members, source, direction: read_xliff(members, source.pattern, direction),
}
