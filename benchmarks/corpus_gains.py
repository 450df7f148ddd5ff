"""BLEU with and without score_corpus on noisy data, or with and without back-translation, after equal steps.

    python -m benchmarks.corpus_gains noise --data data/corpus --steps 2400
    python -m benchmarks.corpus_gains back_translation --data data/corpus --steps 2400

`noise` mixes noise into some training pairs (`benchmarks.noise_filter`) and trains on the mixture, on what is left of
it after the `--drop` share of the lowest scores is left out, and on the good pairs alone. Unless `--forward` is given,
the models that score are trained on other pairs, as a team would that has a small clean corpus. `back_translation`
trains on some pairs, on these together with the targets of as many others, translated by a backward model, without and
with a tag, and on all of these pairs as they are, the upper bound. Unless `--backward` is given, the backward model is
trained on the first pairs alone, as a team would. Tokenizer, network and the number of updates are equal; params.yaml
of the working folder has the other settings. One line of JSON is printed for each training. A backward model should not
have seen the other pairs; if it has, the gain is an upper bound.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import Any

import yaml
from sacrebleu.metrics.bleu import BLEU

from benchmarks import noise_filter
from seqloom import places
from seqloom.corpus.settings import Languages
from seqloom.corpus.splits import Pair, SplitWriter, read_split
from seqloom.decoding.settings import SearchSettings
from seqloom.filtering.scores import cut
from seqloom.filtering.settings import Threshold
from seqloom.params import Params, parse_params
from seqloom.progress import ignore
from seqloom.synthesis.noise import Alteration
from seqloom.translation.texts import TextTranslator

TAG = "\u21c4"
_GREEDY = SearchSettings(method="beam", beam=1, length_penalty=0.0)


def main() -> None:
    """Train the variants one after another, and print the figures of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("noise", "back_translation"))
    parser.add_argument("--data", type=Path, required=True, help="the folder with the three splits")
    parser.add_argument("--forward", type=Path, help="a model folder, for noise")
    parser.add_argument("--backward", type=Path, help="a model folder of the reverse direction")
    parser.add_argument("--french", type=Path, help="see benchmarks.noise_filter")
    parser.add_argument("--pairs", type=int, default=8000, help="pairs before noise or translations are added")
    parser.add_argument("--drop", type=float, default=0.3, help="the share of pairs that is left out")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--width", type=int, help="of the network; its feed-forward layers are twice as wide")
    parser.add_argument("--test", type=int, default=2000, help="test segments, at most")
    options = parser.parse_args()
    options.split, options.noise = options.data / "train.tsv", 0.3
    params = _params(options)
    for name in ("data", "forward", "backward", "french", "split"):
        if (path := getattr(options, name)) is not None:
            setattr(options, name, path.absolute())
    variants = noisy(params, options) if options.what == "noise" else back_translated(params, options)
    for name, pairs in variants:
        print(json.dumps({"variant": name, "pairs": len(pairs), **trained(pairs, params, options)}), flush=True)


def noisy(params: Params, options: argparse.Namespace) -> Iterator[tuple[str, list[Pair]]]:
    """Yield the mixture, what a filter leaves of it, and the good pairs."""
    kinds, pairs = noise_filter.mixture(options)
    good = [pair for pair, kind in zip(pairs, kinds, strict=True) if kind == noise_filter.GOOD]
    with ExitStack() as models:
        if not options.forward:
            taken = set(good)
            others = [pair for pair in read_split(options.split) if pair not in taken][: options.pairs]
            options.forward = models.enter_context(trained_model(others, params, options.data))
            options.backward = models.enter_context(backward_model(others, params, options.data))
        values = noise_filter.measured(options, pairs)["dual" if options.backward else "forward"]
    below = cut(values, noise_filter.directions_of(pairs), Threshold(drop=options.drop)).below
    yield "noisy", pairs
    yield "filtered", [pair for pair, out in zip(pairs, below, strict=True) if not out]
    yield "good", good


def back_translated(params: Params, options: argparse.Namespace) -> Iterator[tuple[str, list[Pair]]]:
    """Yield some pairs, and the same with translations of other targets, without and with a tag."""
    pairs = list(read_split(options.split))
    random.Random(1).shuffle(pairs)
    given, others = pairs[: options.pairs], pairs[options.pairs : 2 * options.pairs]
    yield "pairs", given
    with ExitStack() as models:
        folder = options.backward or models.enter_context(backward_model(given, params, options.data))
        translator = TextTranslator.load(folder, "cpu", _GREEDY)
    found = translator.translate([pair.target for pair in others])
    made = [
        pair._replace(source=" ".join(each.text.split()), corpus="made")
        for pair, each in zip(others, found, strict=True)
        if each.text.strip() and not each.cut
    ]
    change = Alteration(tag=TAG)
    yield "with tagged translations", [*given, *(pair._replace(source=change(pair.source)) for pair in made)]
    yield "with translations", [*given, *made]
    yield "with the other pairs themselves", [*given, *others]


@contextmanager
def backward_model(pairs: Sequence[Pair], params: Params, data: Path) -> Iterator[Path]:
    """Train on the pairs with source and target exchanged, and yield the model's folder."""
    languages = Languages(source=params.languages.target, target=params.languages.source)
    (direction,) = map(str, languages.directions)

    def turned(pairs: Iterable[Pair]) -> list[Pair]:
        return [pair._replace(source=pair.target, target=pair.source, direction=direction) for pair in pairs]

    with tempfile.TemporaryDirectory() as folder:
        for split in ("valid", "test"):
            write(Path(folder) / f"{split}.tsv", turned(read_split(data / f"{split}.tsv")))
        with trained_model(turned(pairs), params.model_copy(update={"languages": languages}), Path(folder)) as model:
            yield model


def trained(pairs: Sequence[Pair], params: Params, options: argparse.Namespace) -> Mapping[str, Any]:
    """Train on the pairs, and return the BLEU of the test split."""
    test = list(read_split(options.data / "test.tsv"))[: options.test]
    with trained_model(pairs, params, options.data) as model:
        training = json.loads(places.TRAINING_METRICS.read_text(encoding="utf-8"))
        found = TextTranslator.load(model, "cpu", _GREEDY).translate([pair.source for pair in test])
    metric = BLEU()
    bleu = metric.corpus_score([each.text for each in found], [[pair.target for pair in test]])
    steps = {name: training[name] for name in ("steps", "valid_bleu")}
    return {
        **steps,
        "test_segments": len(test),
        "test_bleu": round(bleu.score, 2),
        "signature": str(metric.get_signature()),
    }


@contextmanager
def trained_model(pairs: Sequence[Pair], params: Params, data: Path) -> Iterator[Path]:
    """Train on the pairs in a temporary working folder, and yield the model's folder."""
    from seqloom.stages import train_model, train_tokenizer

    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        places.CORPUS.mkdir(parents=True)
        for split in ("valid", "test"):
            (places.CORPUS / f"{split}.tsv").symlink_to(data / f"{split}.tsv")
        write(places.CORPUS / "train.tsv", pairs)
        train_tokenizer.run(params, ignore)
        train_model.run(params, ignore)
        yield places.CANDIDATE.absolute()


def write(path: Path, pairs: Iterable[Pair]) -> None:
    """Write a split."""
    with SplitWriter(path) as writer:
        for pair in pairs:
            writer.write(pair)


def _params(options: argparse.Namespace) -> Params:
    """Return params.yaml with a Transformer and a fixed number of updates."""
    content = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    train = content["train"]
    every = max(1, options.steps // 2)
    train |= {"lr": 4e-3, "device": "cpu", "max_steps": options.steps, "validate_every": every}
    train |= {"checkpoint_every": every, "warmup_steps": min(train["warmup_steps"], options.steps // 5)}
    content["model"]["name"] = "transformer"
    if options.width:
        content["model"]["transformer"] |= {"width": options.width, "feed_forward": 2 * options.width}
    return parse_params(yaml.safe_dump(content))


if __name__ == "__main__":
    main()
