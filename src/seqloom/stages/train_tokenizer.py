"""train_tokenizer: train a tokenizer and encode the splits as token ids.

The vocabulary is learnt from the training split only, or is that of a pretrained model or of `train.start`. Pairs with
a side longer than `tokenizer.max_length` are left out of the token files; data/tokens/counts.json has their number and
statistics of the tokens. Pairs that score_corpus leaves out are not read at all.
"""

from collections.abc import Iterator
from pathlib import Path

from seqloom import places
from seqloom.batching.store import TokenWriter
from seqloom.corpus.left_out import read_left_out, read_training
from seqloom.corpus.splits import Pair, Split, read_split, shard_folder
from seqloom.errors import CorpusError, TokenizerError
from seqloom.files import read_object, write_json
from seqloom.params import Params
from seqloom.progress import Listener, Progress
from seqloom.sharding.launching import choose_launcher
from seqloom.stages.encoding.encoder import Counts, Encoder
from seqloom.stages.encoding.shards import EncodeShard, encode_shards, vocabularies_of
from seqloom.tokenization.catalogue import load_tokenizer, train_tokenizer
from seqloom.tokenization.pretrained import PretrainedOptions, PretrainedTokenizer
from seqloom.tokenization.tokenizer import Tokenizer

_REPORT_EVERY = 1000  # pairs


def run(params: Params, listen: Listener) -> None:
    """Train the tokenizer and write models/tokenizer and data/tokens."""
    tokenizer = _tokenizer(params, listen)
    tokenizer.save(places.TOKENIZER)
    counts = {split.name: encode_split(split, tokenizer, params, listen) for split in (Split.train, Split.valid)}
    write_json(places.TOKENS / "counts.json", counts)


def _tokenizer(params: Params, listen: Listener) -> Tokenizer:
    if params.train.start is not None:
        return started(params, places.PRETRAINED / "start")
    forms = params.placeholders.build()
    if params.model.name == "pretrained":
        base = params.model.pretrained
        options = PretrainedOptions(base.source_language, base.target_language, base.prefix)
        return PretrainedTokenizer(places.PRETRAINED / "model", options, forms)

    def texts() -> Iterator[tuple[str, str]]:
        return ((pair.source, pair.target) for pair in _pairs(Split.train))

    languages = params.languages.target_languages
    return train_tokenizer(params.tokenizer, texts, params.train.seed, listen, languages, forms)


def started(params: Params, folder: Path) -> Tokenizer:
    """Return the tokenizer of the version in `train.start`. Settings that only affect learning are not compared.

    Raises:
        TokenizerError: its languages or settings differ from params.yaml; the message names each difference.
    """
    tokenizer = load_tokenizer(folder / "tokenizer")
    stored, languages = (
        read_object(folder / name, TokenizerError, "run download_pretrained again")
        for name in ("tokenizer/tokenizer.json", "languages.json")
    )
    settings, own = params.tokenizer, params.model.name != "pretrained"
    pairs: list[tuple[str, object, object]] = [
        (f"languages.{side}", wanted, [there] if isinstance(there := languages.get(side), str) else there)
        for side, wanted in (("source", params.languages.sources), ("target", params.languages.targets))
    ]
    pairs.append(("tokenizer.name", settings.name if own else PretrainedTokenizer.name, stored.get("name")))
    if own:
        pairs += [(f"tokenizer.{name}", getattr(settings, name), stored.get(name)) for name in ("joint", "slots")]
    if own and settings.name == "sentencepiece":  # for characters it is only an upper bound
        pairs.append(("tokenizer.vocab_size", settings.vocab_size, stored.get("source_vocab_size")))
    pairs += _differing_forms(params, tokenizer)
    odd = [f"{name} is {wanted!r}, in the version {there!r}" for name, wanted, there in pairs if wanted != there]
    if odd:
        raise TokenizerError(
            f"train.start: {params.train.start} has another tokenizer: {'; '.join(odd)}. "
            "Set these as in the version, or train.start to null"
        )
    return tokenizer


def _differing_forms(params: Params, tokenizer: Tokenizer) -> list[tuple[str, object, object]]:
    wanted, there = params.placeholders.build(), tokenizer.forms
    return [
        ("placeholders.forms", list(wanted.names), list(there.names)),
        ("placeholders.patterns", list(wanted.patterns), list(there.patterns)),
    ]


def encode_split(split: Split, tokenizer: Tokenizer, params: Params, listen: Listener) -> dict[str, object]:
    """Write a split as token ids and return its counts, also by direction if there are several.

    A split that is a folder of shards is encoded by workers, as a folder of shards.

    Raises:
        CorpusError: no pair is short enough, or a pair has a direction that params.yaml does not list.
        ShardError: some shards could not be encoded.
    """
    directions, max_length = params.languages.directions, params.tokenizer.max_length
    path, into = places.CORPUS / split.file_name, places.TOKENS / split.name
    left_out = len(read_left_out(places.SCORES)) if split is Split.train else 0
    if (folder := shard_folder(path)) is not None:
        scores = places.SCORES if left_out else None
        step = EncodeShard(places.TOKENIZER, tuple(directions), max_length, scores)
        counts = encode_shards(folder, into, step, choose_launcher(params.workers), listen)
    else:
        counts = Counts()
        total, encoder = _lines(path) - 1 - left_out, Encoder(tokenizer, directions, max_length)
        with TokenWriter(into, *vocabularies_of(encoder, directions)) as writer:
            pairs = _reported(_pairs(split), f"encode {split.name}", total, listen)
            for source, target, direction in encoder.encode(pairs, counts, path):
                writer.add(source, target, direction)
            if not writer.pairs:
                raise CorpusError(
                    f"{path}: none of its {total} pairs has at most {max_length} tokens on both sides; raise "
                    "tokenizer.max_length, or check what prepare_corpus kept (metrics/corpus.json)"
                )
        too_long = counts.too_long.total()
        listen(Progress(f"encode {split.name}", total, total, "pairs", f"{too_long:,} too long" if too_long else ""))
    return counts.record(list(map(str, directions)), left_out)


def _reported(pairs: Iterator[Pair], task: str, total: int, listen: Listener) -> Iterator[Pair]:
    for done, pair in enumerate(pairs):
        if done % _REPORT_EVERY == 0:
            listen(Progress(task, done, total, "pairs"))
        yield pair


def _pairs(split: Split) -> Iterator[Pair]:
    """Return the pairs of a split, without those that score_corpus leaves out of training."""
    if split is Split.train:
        return read_training(places.CORPUS, places.SCORES)
    return read_split(places.CORPUS / split.file_name)


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)
