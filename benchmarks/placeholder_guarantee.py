"""Count the translations with exactly the placeholders of their source, on a test split and on generated sources.

    python -m benchmarks.placeholder_guarantee [--model models/candidate] [--count 1000] [--out FILE.json]

A generated source consists of one or more texts of the test split with 1 to 50 placeholders inserted between words: all
forms of the model's tokenizer, some placeholders twice, and tags in nested pairs. A translation counts if the
tokenizer's own expression finds the same placeholders in it as in the source, equally often, with pairs of tags nested.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from seqloom.corpus.splits import read_split
from seqloom.decoding.translator import Translation, Translator
from seqloom.text import Forms
from seqloom.tokenization.tags import NO_PARTNER, name_of, partners

SPELLINGS = {
    "erb": ["<%= user {n} %>", "<% item{n} %>"],
    "double_square": ["[[item {n}]]"],
    "laravel": [":value_{n}"],
    "percent_pair": ["%value{n}%"],
    "platform": ["[X{n}X]", "__PH_{n}__", "\u27e6{n}\u27e7"],
    "numbered_tags": ["<{n}/>"],
    "ruby": ["%{{value{n}}}", "#{{value{n}}}"],
    "icu_argument": ["{{value{n}, number}}", "{{d{n}, date, short}}"],
    "double_braces": ["{{{{ value{n} }}}}", "{{{{x{n}}}}}"],
    "braces": ["{{value{n}}}", "{{{n}}}", "${{value{n}}}", "{{}}"],
    "printf_named": ["%(value{n})s", "%(n{n})d"],
    "printf": ["%s", "%d", "%{n}$s", "%.2f", "%@"],
    "qt": ["%1", "%2"],
    "tags": ["<br/>", '<img src="{n}.png"/>'],
    "entities": ["&nbsp;", "&amp;"],
}
PAIRS = [
    ("<b>", "</b>"),
    ("<i>", "</i>"),
    ('<a href="https://example.org/{n}">', "</a>"),
    ("<span class='c{n}'>", "</span>"),
]


def main() -> None:
    """Translate, count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/candidate"))
    parser.add_argument("--test", type=Path, default=Path("data/corpus/test.tsv"))
    parser.add_argument("--count", type=int, default=1000, help="number of generated sources (default: 1000)")
    parser.add_argument("--most", type=int, default=50, help="most placeholders per source (default: 50)")
    parser.add_argument("--methods", nargs="+", default=["beam", "greedy", "sampling", "mbr"])
    parser.add_argument("--samples", type=int, default=4, help="samples of mbr (default: 4)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="also write the figures to this JSON file")
    options = parser.parse_args()
    translator = Translator.load(options.model, options.device)
    texts = [pair.source for pair in read_split(options.test)]
    forms = translator.tokenizer.forms
    sets = {"test": [text for text in texts if forms.find(text)]}
    sets["generated"] = generate(texts, forms, options.count, options.most, options.seed)
    figures: dict[str, Any] = {"model": str(options.model), "seed": options.seed, "methods": {}}
    stored = translator.search
    for method in options.methods:
        changes = {"method": "beam", "beam": 1} if method == "greedy" else {"method": method}
        if method == "generate":
            changes["normalization"] = "average"
        translator.search = stored.model_copy(update=changes | {"samples": options.samples, "temperature": 1.0})
        figures["methods"][method] = {name: measure(translator, sources) for name, sources in sets.items()}
    text = json.dumps(figures, indent=2)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")
    found = [each["exact"] == each["sources"] for sets in figures["methods"].values() for each in sets.values()]
    sys.exit(0 if all(found) else 1)


def generate(texts: list[str], forms: Forms, count: int, most: int, seed: int) -> list[str]:
    """Return `count` sources with 1 to `most` placeholders each."""
    draw = random.Random(seed)
    plain = [text for text in texts if not forms.find(text)]
    spellings = [each for name in forms.names for each in SPELLINGS[name]]
    return [_source(draw, plain, spellings, draw.randint(1, most), "tags" in forms.names) for _ in range(count)]


def _source(draw: random.Random, plain: list[str], spellings: list[str], wanted: int, tags: bool) -> str:
    words: list[str] = []
    while len(words) < wanted // draw.randint(1, 4) + 2:
        words += draw.choice(plain).split()
    marks: list[tuple[int, str]] = []
    ranges: list[tuple[int, int]] = []
    left = wanted
    while left:
        first = draw.randrange(len(words))
        last = draw.randrange(first, min(len(words), first + 6))
        crosses = any(a < first <= b < last or first < a <= last < b for a, b in ranges)
        if tags and left > 1 and draw.random() < 0.2 and not crosses:
            ranges.append((first, last))
            left -= 2
        else:
            marks.append((draw.randrange(len(words) + 1), draw.choice(spellings).format(n=draw.randint(1, 99))))
            left -= 1
    for first, last in sorted(ranges, key=lambda each: each[1] - each[0]):  # inner ones first
        opens, closes = (each.format(n=draw.randint(1, 9)) for each in draw.choice(PAIRS))
        words[first], words[last] = opens + words[first], words[last] + closes
    for at, mark in sorted(marks, reverse=True):
        words.insert(at, mark)
    return " ".join(words)


def measure(translator: Translator, sources: list[str]) -> dict[str, Any]:
    """Return the figures of a set of sources."""
    forms, started = translator.tokenizer.forms, time.perf_counter()
    found = [best[0] for best in translator.hypotheses(sources)]
    seconds = time.perf_counter() - started
    exact = [is_exact(source, each.text, forms) for source, each in zip(sources, found, strict=True)]
    return {
        "sources": len(sources),
        "placeholders": sum(len(forms.find(source)) for source in sources),
        "exact": sum(exact),
        "said_kept": sum(each.kept for each in found),
        "placed": sum(each.placed for each in found),
        "broken_characters": sum("\ufffd" in each.text for each in found),
        "seconds": round(seconds, 2),
        "failures": [
            _shown(source, each) for source, each, good in zip(sources, found, exact, strict=True) if not good
        ][:5],
    }


def is_exact(source: str, target: str, forms: Forms) -> bool:
    """Return whether `target` has the placeholders of `source`, equally often, with its pairs of tags nested."""
    wanted, given = forms.find(source), forms.find(target)
    paired = {name_of(each)[0] for each, partner in zip(wanted, partners(wanted), strict=True) if partner != NO_PARTNER}
    return Counter(wanted) == Counter(given) and NO_PARTNER not in partners(
        [t for t in given if name_of(t)[0] in paired]
    )


def _shown(source: str, translation: Translation) -> dict[str, Any]:
    return {"source": source, "target": translation.text, "kept": translation.kept}


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
