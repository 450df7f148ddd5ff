"""Wrapped Hugging Face networks, compared with their own logits."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from seqloom.errors import ModelError
from seqloom.models.pretrained import Pretrained
from tests.models.networks import random_ids
from tests.tiny_pretrained import POSITIONS

LENGTHS = torch.tensor([8, 3, 6])


def test_logits_equal_those_of_the_wrapped_network(pretrained: Pretrained, kind: str, folders: dict[str, Path]) -> None:
    from transformers import AutoModelForSeq2SeqLM

    network = AutoModelForSeq2SeqLM.from_pretrained(folders[kind], local_files_only=True).eval()
    source, target = random_ids(3, 8), random_ids(3, 5)
    for lengths in (LENGTHS, torch.tensor([8, 8, 8])):
        mask = (torch.arange(8) < lengths.unsqueeze(1)).long()
        expected = network(input_ids=source, attention_mask=mask, decoder_input_ids=target).logits
        hidden = pretrained(source, lengths, target)
        ours = F.linear(hidden, pretrained.output_weight, pretrained.output_bias)
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    assert pretrained.source_embedding is pretrained.target_embedding
    assert (pretrained.output_bias is None) == (kind == "t5")


def test_computing_attention_leaves_the_network_unchanged(pretrained: Pretrained) -> None:
    pretrained.attention(random_ids(3, 8), LENGTHS, random_ids(3, 4))
    assert pretrained.network.config._attn_implementation == "sdpa"


def test_the_dropout_rate_is_the_one_in_the_settings(pretrained: Pretrained) -> None:
    config = pretrained.network.config
    assert getattr(config, "dropout", None) == 0.1 or config.dropout_rate == 0.1


def test_a_network_that_changes_its_logits_is_rejected(pretrained: Pretrained) -> None:
    pretrained.verify()
    pretrained.network.get_output_embeddings().register_forward_hook(lambda module, given, output: 1.5 * output)
    with pytest.raises(ModelError, match=rf"{type(pretrained.network).__name__} cannot be fine-tuned here: its logits"):
        pretrained.verify()


def test_the_length_limit_is_the_size_of_the_position_table(pretrained: Pretrained, kind: str) -> None:
    limits = (None, None) if kind == "t5" else (POSITIONS, POSITIONS)
    assert (pretrained.max_source_length, pretrained.max_target_length) == limits
    longest = torch.tensor([POSITIONS])
    pretrained(random_ids(1, POSITIONS), longest, random_ids(1, POSITIONS))
    if kind == "t5":
        pretrained(random_ids(1, 700), torch.tensor([700]), random_ids(1, 600))
        return
    with pytest.raises(ModelError, match=r"a source of 33 tokens is too long for \w+, which has 32 positions; lower"):
        pretrained.start(random_ids(1, 33), longest + 1)
    with pytest.raises(ModelError, match="a target of 33 tokens is too long"):
        pretrained(random_ids(1, 5), torch.tensor([5]), random_ids(1, 33))
