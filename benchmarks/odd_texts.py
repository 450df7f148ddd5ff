"""Translate odd texts before and after the rules for texts: capitals, Title Case, loops, long lines.

    python -m benchmarks.odd_texts case --model models/candidate --test data/corpus/test.tsv
    python -m benchmarks.odd_texts loops --model models/candidate --test data/corpus/test.tsv
    python -m benchmarks.odd_texts long --model models/candidate --test data/corpus/test.tsv --kilobytes 50 100 200

"Before" is `decoding.translator`, which translates each text as one sentence; "after" is `translation.texts`. `case`
scores the test split as it is, in ALL CAPITALS and in Title Case. The references have the same case as the sources; for
Title Case, unchanged references are used as well. `loops` counts the translations of 1,000 odd texts that repeat
themselves. `long` translates sources of the test split as one line, only "after", because before a line was one
sentence.
"""

import argparse
import random
import re
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from seqloom.corpus.splits import Pair, read_split
from seqloom.evaluation.metrics import corpus_bleu
from seqloom.text import PLACEHOLDER
from seqloom.translation.looping import loops
from seqloom.translation.results import Result
from seqloom.translation.texts import TextTranslator

ODD = 1000
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def main() -> None:
    """Load the model, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["case", "loops", "long"])
    parser.add_argument("--model", type=Path, default=Path("models/candidate"))
    parser.add_argument("--test", type=Path, default=Path("data/corpus/test.tsv"))
    parser.add_argument("--kilobytes", type=int, nargs="+", default=[50, 100, 200])
    options = parser.parse_args()
    translator, pairs = TextTranslator.load(options.model), list(read_split(options.test))
    if options.what == "case":
        case(translator, pairs)
    elif options.what == "loops":
        looping(translator, [pair.source for pair in pairs])
    else:
        long_lines(translator, [pair.source for pair in pairs], options.kilobytes)


def case(translator: TextTranslator, pairs: Sequence[Pair]) -> None:
    """Return the BLEU of the test split in each case."""
    language = translator.languages.target
    kept = [pair.target for pair in pairs]
    capital, titled = ([change(each) for each in kept] for change in (capitals, title))
    writings: list[tuple[str, Callable[[str], str], dict[str, list[str]]]] = [
        ("as it is", _unchanged, {"as they are": kept}),
        ("ALL CAPITALS", capitals, {"ALL CAPITALS": capital}),
        ("Title Case", title, {"Title Case": titled, "as they are": kept}),
    ]
    for name, change, references in writings:
        sources = [change(pair.source) for pair in pairs]
        before = translator.translator.translate(sources, language=language)
        results = translator.translate(sources, language=language)
        print(f"{name}: {_flags(results)}")
        for written, texts in references.items():
            scores = [corpus_bleu(found, texts, language) for found in (before, [each.text for each in results])]
            print(f"  BLEU, references {written}: before {scores[0]:.2f}, after {scores[1]:.2f}", flush=True)


def looping(translator: TextTranslator, sources: Sequence[str]) -> None:
    """Return how many translations of odd texts repeat themselves."""
    texts = list(odd_texts(sources))
    before = translator.translator.translate(texts)
    results = translator.translate(texts)
    counts = [
        sum(loops(text, found) for text, found in zip(texts, translations, strict=True))
        for translations in (before, [each.text for each in results])
    ]
    print(f"{len(texts):,} odd texts: {counts[0]} loop before, {counts[1]} after  {_flags(results)}")


def long_lines(translator: TextTranslator, sources: Sequence[str], kilobytes: Sequence[int]) -> None:
    """Return the seconds and memory for one line without repeated sentences."""
    numbered = (f"{source.rstrip('.')} {number}. " for number in range(1 << 30) for source in sources)
    for size in kilobytes:
        line = ""
        while len(line) < 1000 * size:
            line += next(numbered)
        began = time.process_time()
        (result,) = translator.translate([line])
        seconds = time.process_time() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{size} kB in one line: {seconds:.1f} s, peak memory {peak:.0f} MB, {_flags([result])}", flush=True)


def odd_texts(sources: Sequence[str]) -> Iterator[str]:
    """Yield `ODD` texts made of the sources, the same ones each time."""
    draw = random.Random(1)
    kinds: list[Callable[[str], str]] = [
        str.upper,
        title,
        lambda text: text.replace(" ", ""),
        lambda text: text + " " + text,
        lambda text: " ".join(text.split()[:1] * 6),
        lambda text: "".join(draw.sample(text, len(text))),
        lambda text: " ".join(draw.sample(text.split(), len(text.split()))),
        lambda text: "".join(draw.choices("abcdefghijklmnopqrstuvwxyz ", k=draw.randint(1, 60))),
        lambda text: "".join(draw.choices("0123456789.,:-/ ", k=draw.randint(1, 40))) + text,
        lambda text: f"{text} {draw.choice(['👋', 'https://example.org/a?b=c', 'me@example.org', '设置', 'привет'])}",
        lambda text: text.lower().replace(" ", "_"),
        lambda text: f"{text.split()[0]}{'!?.'[draw.randrange(3)] * draw.randint(3, 30)}",
    ]
    for number in range(ODD):
        yield kinds[number % len(kinds)](draw.choice(sources))


def capitals(text: str) -> str:
    """Return the text in capitals, with placeholders unchanged."""
    return _outside(text, str.upper)


def title(text: str) -> str:
    """Return the text in Title Case, with placeholders unchanged."""
    return _outside(text, lambda part: _WORD.sub(lambda match: match[0][0].upper() + match[0][1:], part))


def _unchanged(text: str) -> str:
    return text


def _outside(text: str, change: Callable[[str], str]) -> str:
    parts, position = [], 0
    for match in PLACEHOLDER.finditer(text):
        parts += [change(text[position : match.start()]), match[0]]
        position = match.end()
    return "".join([*parts, change(text[position:])])


def _flags(results: Sequence[Result]) -> str:
    counts = Counter(flag.value for result in results for flag in result.flags)
    return ", ".join(f"{count} {flag}" for flag, count in counts.items()) or "no flags"


if __name__ == "__main__":
    main()
