import math
import random
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from seqloom.errors import ModelError
from seqloom.export.folder import open_export, write_export
from seqloom.export.specification import POSITIONS, specify
from seqloom.models.catalogue import build_model
from seqloom.models.transformer import Transformer
from seqloom.symbols import SPECIAL_IDS, Symbols
from tests.export.networks import network, save
from tests.records import model_settings

ORDERS, NORMS, TIES = ("pre", "post"), ("layer_norm", "rms_norm"), ("all", "target", "none")
POSITION_KINDS, ACTIVATIONS = ("sinusoidal", "learned", "rotary"), ("relu", "gelu", "swiglu")
VARIANTS = list(product(ORDERS, NORMS, POSITION_KINDS, ACTIVATIONS, TIES))
random.Random(5).shuffle(VARIANTS)
SOURCES, TARGETS = 40, 33  # sizes of the vocabularies


def segments(draw: random.Random, vocabulary: int, lengths: list[int]) -> list[list[int]]:
    return [[draw.randrange(4, vocabulary) for _ in range(length)] for length in lengths]


def torch_scores(model: Transformer, sources: list[list[int]], targets: list[list[int]]) -> list[list[float]]:
    """The log-probability of each target token and EOS, in one padded batch."""
    lengths = torch.tensor([len(each) for each in sources])
    source = torch.zeros(len(sources), int(lengths.max()), dtype=torch.int64)
    target = torch.zeros(len(targets), max(map(len, targets)) + 1, dtype=torch.int64)
    for row, each in enumerate(sources):
        source[row, : len(each)] = torch.tensor(each)
    for row, each in enumerate(targets):
        target[row, : len(each) + 1] = torch.tensor([SPECIAL_IDS.bos, *each])
    with torch.inference_mode():
        found = model.log_probabilities(model(source, lengths, target))
    return [
        [float(found[row, at, token]) for at, token in enumerate([*each, SPECIAL_IDS.eos])]
        for row, each in enumerate(targets)
    ]


def largest_gap(model: Transformer, folder: Path, sources: list[list[int]], targets: list[list[int]]) -> float:
    save(model, folder)
    engine = open_export(write_export(folder, SPECIAL_IDS, "float32", folder / "export"), 1)
    named = [[[str(id_) for id_ in each] for each in side] for side in (sources, targets)]
    theirs = engine.score_batch(*named, max_input_length=0)
    ours = torch_scores(model, sources, targets)
    pairs = [pair for row, each in zip(ours, theirs, strict=True) for pair in zip(row, each.log_probs, strict=True)]
    return max(abs(a - b) for a, b in pairs)


@pytest.mark.parametrize("part", range(4))
def test_every_variant_gives_the_log_probabilities_of_torch(part: int, tmp_path: Path) -> None:
    draw = random.Random(part)
    for number, (order, norm, positions, activation, ties) in enumerate(VARIANTS[part::4][:9]):
        section: dict[str, Any] = {"norm_order": order, "norm": norm, "positions": positions, "activation": activation}
        layers = {"encoder_layers": draw.choice([1, 2]), "decoder_layers": draw.choice([1, 2])}
        model = network(SOURCES, SOURCES if ties == "all" else TARGETS, seed=number, ties=ties, **section, **layers)
        sources = segments(draw, SOURCES, [1, 9, 4])
        targets = segments(draw, model.target_vocab_size, [7, 0, 3])
        assert largest_gap(model, tmp_path, sources, targets) < 1e-4, (section, ties)


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_positions_agree_up_to_the_last_row_of_the_table(positions: str, tmp_path: Path) -> None:
    draw = random.Random(3)
    model = network(SOURCES, positions=positions)
    long = segments(draw, SOURCES, [POSITIONS]), segments(draw, SOURCES, [POSITIONS - 1])
    assert largest_gap(model, tmp_path, *long) < 1e-3  # sums over a thousand positions round more


def test_a_network_of_another_family_is_kept_on_torch() -> None:
    model = build_model(model_settings("lstm", embedding=4, hidden=4, layers=1).architecture, 20, 20)
    with pytest.raises(ModelError, match=r"type Lstm cannot be exported.*kept on torch; only model\.name: transformer"):
        specify(model, SPECIAL_IDS)


def test_the_four_special_ids_must_differ() -> None:
    with pytest.raises(ModelError, match=r"\(0, 1, 0, 3\)"):
        specify(network(20), Symbols(pad=0, unk=1, bos=0, eos=3))


def test_weights_that_are_no_numbers_are_refused() -> None:
    model = network(20)
    model.decoder_norm.weight.data[3] = math.nan  # type: ignore[operator, union-attr, index]
    with pytest.raises(ModelError, match="not a finite number"):
        specify(model, SPECIAL_IDS)
