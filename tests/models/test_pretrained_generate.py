"""Search with Hugging Face's `generate`: limits per source, true log-probabilities, and the targets of our search."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from seqloom.decoding.beam_search import beam_search
from seqloom.decoding.constraints import Constraints
from seqloom.models.pretrained import Pretrained
from seqloom.models.pretrained_generate import Generated, generate
from tests.models.networks import SYMBOLS, random_ids
from tests.records import search_settings

LENGTHS = torch.tensor([8, 3, 6])
LEAST, MOST = torch.tensor([2, 3, 0]), torch.tensor([9, 4, 6])


def found_by(model: Pretrained, kind: str, source: Tensor, **how: Any) -> list[list[Generated]]:
    usual = {"min_lengths": LEAST, "max_lengths": MOST, "beam": 4}
    return generate(model, source, LENGTHS, symbols=SYMBOLS[kind], **usual | how)


def test_generate_respects_each_sources_limits_and_returns_true_log_probabilities(
    pretrained: Pretrained, kind: str
) -> None:
    source, symbols = random_ids(3, 8), SYMBOLS[kind]
    prefix = [7, 8]
    found = found_by(pretrained, kind, source, prefix=prefix, n_best=3, length_penalty=0.8)
    assert [len(targets) for targets in found] == [3, 3, 3]
    for row, (least, most) in enumerate(zip(LEAST.tolist(), MOST.tolist(), strict=True)):
        scores = []
        for ids, log_probability in found[row]:
            assert least <= len(ids) <= most
            assert ids[:2] == prefix
            assert not {symbols.pad, symbols.bos, symbols.eos} & set(ids)
            read = torch.tensor([[symbols.bos, *ids]])
            output = pretrained.log_probabilities(pretrained(source[row : row + 1], LENGTHS[row : row + 1], read))[
                0
            ].detach()
            expected = sum(float(output[place, index]) for place, index in enumerate([*ids, symbols.eos]) if place >= 2)
            assert log_probability == pytest.approx(expected, abs=1e-4)
            scores.append(log_probability / (len(ids) - 1) ** 0.8)
        assert scores == pytest.approx(sorted(scores, reverse=True), abs=1e-4)


def test_a_beam_of_one_takes_the_most_likely_id_at_each_step(pretrained: Pretrained, kind: str) -> None:
    source, symbols = random_ids(3, 8), SYMBOLS[kind]
    found = found_by(pretrained, kind, source, beam=1, min_lengths=torch.zeros(3, dtype=torch.long))
    for row in range(3):
        state = pretrained.start(source[row : row + 1], LENGTHS[row : row + 1])
        ids: list[int] = []
        token = symbols.bos
        while len(ids) < MOST[row]:
            output, state = pretrained.step(torch.tensor([token]), state)
            output[:, [index for index in (symbols.pad, symbols.bos) if index != symbols.eos]] = -torch.inf
            token = int(output.argmax())
            if token == symbols.eos:
                break
            ids.append(token)
        assert found[row][0].ids == ids


def test_generate_finds_the_same_targets_as_our_beam_search(pretrained: Pretrained, kind: str) -> None:
    source = random_ids(3, 8)
    theirs = found_by(pretrained, kind, source, n_best=2, length_penalty=1.0)
    ours = beam_search(
        pretrained.step,
        pretrained.start(source, LENGTHS),
        Constraints.build(SYMBOLS[kind], MOST, min_lengths=LEAST),
        search_settings(method="beam", beam=4, normalization="average", length_penalty=1.0),
        n_best=2,
    )
    for found, expected in zip(theirs, ours, strict=True):
        assert [each.ids for each in found] == [each.ids for each in expected]
        probabilities = [each.log_probability for each in expected]
        assert [each.log_probability for each in found] == pytest.approx(probabilities, abs=1e-4)


def test_no_ngram_is_repeated_if_forbidden(pretrained: Pretrained, kind: str) -> None:
    least = torch.tensor([12, 12, 12])
    how = {"no_repeat_ngram": 2, "min_lengths": least, "max_lengths": least}
    for (ids, _), *_ in found_by(pretrained, kind, random_ids(3, 8), **how):
        pairs = list(pairwise(ids))
        assert len(set(pairs)) == len(pairs)
