import random

import pytest

from seqloom.corpus.leakage import HELD_OUT, CompareTraining, combine, write_held_out
from seqloom.corpus.splits import Pair, Split, SplitWriter
from seqloom.languages import Direction

EN_DE = [Direction("en", "de")]
WORDS = ["lamp", "door", "window", "garden", "kitchen", "garage", "roof", "wall", "cellar", "stairs"]


def write(folder, **splits):
    for split in Split:
        with SplitWriter(folder / split.file_name) as writer:
            for source, target, *direction in splits.get(split.name, ()):
                writer.write(Pair(source, target, *direction or ["en-de"], "c", ""))


def measure_leakage(folder, directions, near_copy, most, parts=1):
    """What is found if training is compared in several parts."""
    held_out = {split: folder / split.file_name for split in HELD_OUT}
    (folder / "index").mkdir()
    index = write_held_out(folder / "index", held_out, directions, near_copy, most)
    compare = CompareTraining.of(index, held_out, directions, near_copy).start()
    _, *lines = (folder / Split.train.file_name).read_text().splitlines(keepends=True)
    results = [folder / f"part-{number}" for number in range(parts)]
    for number, result in enumerate(results):
        result.mkdir()
        part = folder / f"{number}.lines"
        part.write_text("".join(lines[number::parts]))
        assert compare(part, result) == len(lines[number::parts])
    return combine(index, results)


def test_shared_texts_are_counted_after_masking(tmp_path):
    write(
        tmp_path,
        train=[("Port 1", "Anschluss 1"), ("Save {name}", "{name} speichern")],
        valid=[("Something else entirely", "Anschluss 7"), ("Other words", "Andere Worte")],
        test=[("Port 22", "Steckdose"), ("Save {other}", "Sichern"), ("Port 23", "Dose"), ("New", "Neu")],
    )
    found = measure_leakage(tmp_path, EN_DE, 0.8, 100)
    assert found[Split.valid] == (2, 0, 1, 2, 0)
    assert found[Split.test] == (4, 3, 0, 4, 3)
    assert found[Split.test].share == 0.75


def test_texts_are_compared_with_both_sides_in_their_language(tmp_path):
    write(
        tmp_path,
        train=[("Guten Morgen zusammen", "Good morning all", "de-en"), ("Start", "Beginn", "en-de")],
        valid=[("x", "y", "en-de")],
        test=[
            ("Good morning all", "Morgen!", "en-de"),  # a target of training
            ("Good evening", "Guten Morgen zusammen", "en-de"),  # a source of training
            ("Start", "Begin", "de-en"),  # the same word in another language
            ("Good morning, all", "Na", "en-de"),  # near a target of training
        ],
    )
    both_ways = [Direction("en", "de"), Direction("de", "en")]
    found = measure_leakage(tmp_path, both_ways, 0.4, 100)[Split.test]
    assert (found.segments, found.sources, found.targets) == (4, 1, 1)
    assert found.near_copies == 3  # including "Start": grams ignore the language


def test_sources_and_summaries_in_one_language_are_not_compared(tmp_path):
    texts = [(f"a text about {word} and more", f"on {word}", "en-en") for word in ("lamps", "doors", "roofs")]
    swapped = [(summary, text, "en-en") for text, summary, _ in texts]
    write(tmp_path, train=swapped, valid=texts[:1], test=texts)
    assert measure_leakage(tmp_path, [Direction("en", "en")], 0.8, 100)[Split.test] == (3, 0, 0, 3, 0)


def test_a_near_copy_is_counted_once(tmp_path):
    train = [(f"The door of the garage opens slowly{mark}", "x") for mark in ("!", "?", ".")]
    write(tmp_path, train=train, valid=[("v", "w")], test=[("The door of the garage opens slowly", "x")])
    assert measure_leakage(tmp_path, EN_DE, 0.8, 100)[Split.test].near_copies == 1


@pytest.mark.parametrize("most", [100, 1])
@pytest.mark.parametrize("parts", [2, 3])
def test_parts_of_training_add_up(tmp_path, most, parts):
    draw = random.Random(4)
    train = [(" ".join(draw.choices(WORDS, k=12)), f"Ziel {word}") for word in WORDS]
    near = [(f"{source}!", target) for source, target in train[:4]]
    found = []
    for name, count in (("whole", 1), ("parts", parts)):
        (tmp_path / name).mkdir()
        write(tmp_path / name, train=train, valid=near[:2], test=[*near[1:], ("something else", "etwas anderes")])
        found.append(measure_leakage(tmp_path / name, EN_DE, 0.8, most, count))
    assert found[0] == found[1] == {Split.valid: (2, 0, 2, 2, 2), Split.test: (4, 0, 3, 4, 3)}
