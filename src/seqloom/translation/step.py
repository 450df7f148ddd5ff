"""Translate many texts in shards: `write_texts` makes the shards, `TranslateShard` is the step, `read_results` reads.

A shard of texts is a Parquet file with the columns of `Text`; its result is a Parquet file with a row per text. Shards
are small, because translating a text takes much longer than reading it, and what a worker has of a shard is lost with
the worker.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from seqloom.arrow import pa, pq
from seqloom.decoding.settings import SearchSettings
from seqloom.errors import ModelError
from seqloom.export.settings import Engine
from seqloom.files import hashes_of, replacing
from seqloom.sharding.manifest import shard_name
from seqloom.sharding.step import Function, Input, input_of
from seqloom.sharding.threads import one_thread
from seqloom.translation.results import Flag, Result

SHARD = 4096  # texts of a shard: a minute or more of a core, and few enough files for ten million texts
_RESULT = "translations.parquet"


class Text(NamedTuple):
    """A text to translate, and the name of its direction, as in `en-de`."""

    text: str
    direction: str


def write_texts(texts: Iterable[Text], folder: Path, size: int = SHARD) -> Iterator[Input]:
    """Write texts as shards of `size` texts, and yield each as soon as it is written."""
    folder.mkdir(parents=True, exist_ok=True)
    waiting, number = iter(texts), 0
    while rows := list(islice(waiting, size)):
        path = folder / shard_name(number, "parquet")
        with replacing(path) as beside:
            columns = zip(Text._fields, zip(*rows, strict=True), strict=True)
            pq.write_table(pa.table({name: list(column) for name, column in columns}), beside, compression="zstd")
        yield input_of(path)
        number += 1


def read_results(folder: Path) -> Iterator[Result]:
    """Yield the translations in the result of a shard, in the order of its texts."""
    for row in pq.read_table(folder / _RESULT).to_pylist():
        yield Result(**row | {"flags": tuple(Flag(name) for name in row["flags"])})


@dataclass(frozen=True)
class TranslateShard:
    """Translates the texts of a shard with a model folder, with one thread of torch or CTranslate2 on a CPU."""

    model: Path
    search: SearchSettings
    device: str = "cpu"
    engine: Engine = "torch"

    name = "translate"

    @cached_property
    def _hashes(self) -> dict[str, str]:
        return hashes_of(self.model)

    def identity(self) -> dict[str, Any]:
        """Return everything that the translations depend on, with the hashes of the model's files."""
        search = self.search.model_dump(mode="json")
        return {"model": self._hashes, "search": search, "device": self.device, "engine": self.engine}

    def start(self) -> Function:
        """Load the model.

        Raises:
            ModelError: it cannot be loaded.
            TokenizerError: its tokenizer cannot be loaded.
        """
        from seqloom.translation.directions import translate_each
        from seqloom.translation.texts import TextTranslator

        with one_thread():
            translator = TextTranslator.load(self.model, self.device, self.search, engine=self.engine)
        known = {str(direction): direction for direction in translator.languages.directions}

        def translate(shard: Path, folder: Path) -> int:
            rows = [Text(**row) for row in pq.read_table(shard).to_pylist()]
            if strange := {row.direction for row in rows} - known.keys():
                raise ModelError(
                    f"{self.model}: translates {', '.join(known)}, but the texts need {', '.join(sorted(strange))}"
                )
            with one_thread():
                found = translate_each(translator, [row.text for row in rows], [known[row.direction] for row in rows])
            table = pa.Table.from_pylist([each._asdict() for each in found], schema=_schema())
            pq.write_table(table, folder / _RESULT, compression="zstd")
            return len(found)

        return translate


def _schema() -> Any:
    text, number, yes = pa.string(), pa.float64(), pa.bool_()
    kinds = [text, pa.list_(text), number, number, yes, yes]
    return pa.schema(list(zip(Result._fields, kinds, strict=True)))
