"""The steps of train_tokenizer and evaluate_model with a tiny network, and their results with one worker."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from seqloom.corpus.splits import Pair, write_shards_of
from seqloom.files import hashes_of
from seqloom.languages import Direction
from seqloom.models.catalogue import build_model, save_model
from seqloom.progress import ignore
from seqloom.sharding.manifest import describe_shard, shard_name
from seqloom.sharding.mapping import Launcher, map_shards
from seqloom.sharding.step import Input, Step, input_of
from seqloom.stages.encoding.shards import EncodeShard
from seqloom.tokenization.catalogue import train_tokenizer
from seqloom.translation.step import Text, TranslateShard, write_texts
from tests.records import model_settings, search_settings, tokenizer_settings

WORDS = ("the light", "a door", "{name}", "the red house", "it", "your phone 12")
PAIRS = [(f"{a} is {b}", f"{b} ist {a}") for a in WORDS for b in WORDS]
SMALL = {"preset": "tiny", "width": 16, "feed_forward": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}


class RealSteps:
    """Two steps and their inputs in a folder."""

    def __init__(self, folder: Path) -> None:
        model = folder / "model"
        tokenizer = train_tokenizer(tokenizer_settings(vocab_size=64, name="characters"), lambda: PAIRS, 1, ignore)
        tokenizer.save(model / "tokenizer")
        torch.manual_seed(2)
        architecture = model_settings(**SMALL).architecture
        network = build_model(architecture, tokenizer.source_vocab_size, tokenizer.target_vocab_size)
        save_model(network, architecture, model)
        (model / "languages.json").write_text('{"source": "en", "target": "de"}')
        search = search_settings(beam=2, max_length_ratio=1.0, max_length_extra=2)
        self._folder = folder
        self._work: list[tuple[Step, list[Input]]] = [
            (EncodeShard(model / "tokenizer", (Direction("en", "de"),), 20), self._pairs(folder / "pairs")),
            (TranslateShard(model, search), list(write_texts(self._texts(), folder / "texts", 6))),
        ]

    def hashes(self, name: str, launcher: Launcher) -> list[dict[str, str]]:
        """Return the hashes of all files that the steps write with a launcher."""
        found = []
        for step, inputs in self._work:
            into = self._folder / name / step.name
            map_shards(step, inputs, into, launcher, ignore)
            found.append(hashes_of(into))
        return found

    def _texts(self) -> list[Text]:
        return [Text(source, "en-de") for source, _ in PAIRS[:18]]

    def _pairs(self, folder: Path) -> list[Input]:
        folder.mkdir()
        entries = []
        for number, start in enumerate(range(0, len(PAIRS), 12)):
            rows = [Pair(*pair, "en-de", "c", "")._asdict() for pair in PAIRS[start : start + 12]]
            path = folder / shard_name(number, "parquet")
            pq.write_table(pa.Table.from_pylist(rows), path)
            entries.append(describe_shard(path, len(rows)))
        write_shards_of(folder, entries)
        return [input_of(folder / entry.name) for entry in entries]
