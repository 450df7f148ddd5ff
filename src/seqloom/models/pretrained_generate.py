"""Search with Hugging Face's `generate` over a pretrained network: ids in, ids and log-probabilities out.

`generate` has one length limit per batch; here every source has its own limits.

Shapes: B batch, S source, T ids read so far, K beams, R = B * K rows, N = B * n_best targets, L the longest, V
vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seqloom.huggingface import library
from seqloom.models.pretrained import Pretrained
from seqloom.symbols import Symbols


class Generated(NamedTuple):
    """A target that `generate` found: its ids without BOS and EOS, and its log-probability including EOS."""

    ids: list[int]
    log_probability: float


@torch.inference_mode()
def generate(
    model: Pretrained,
    source: Tensor,
    source_lengths: Tensor,
    *,
    symbols: Symbols,
    prefix: Sequence[int] = (),
    min_lengths: Tensor,
    max_lengths: Tensor,
    beam: int,
    n_best: int = 1,
    length_penalty: float = 0.0,
    no_repeat_ngram: int = 0,
    rules: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> list[list[Generated]]:
    """Return the `n_best` targets of each source (B, S), best first.

    A target begins with `prefix` and has `min_lengths` to `max_lengths` (B,) ids, including `prefix` but not EOS. A
    beam of 1 is greedy. Targets are ranked by log-probability / (|Y| ** `length_penalty`), where |Y| counts the ids
    after the prefix and EOS; this is the only normalisation that `generate` offers. The beam stops when no better
    target is possible. `rules` takes the scores (R, V) and the ids so far (R, T), without BOS, and writes -inf over
    further tokens that are not allowed.
    """
    prompt = torch.tensor([[symbols.bos, *prefix]], device=source.device).expand(len(source), -1)
    limits = Limits(symbols, min_lengths, max_lengths, beam)

    def bound(read_RT: Tensor, scores_RV: Tensor) -> Tensor:
        return limits(read_RT, scores_RV if rules is None else rules(scores_RV, read_RT[:, 1:]))

    found_NL = model.network.generate(
        input_ids=source,
        attention_mask=(torch.arange(source.shape[1], device=source.device) < source_lengths.unsqueeze(1)).long(),
        decoder_input_ids=prompt,
        logits_processor=[bound],
        generation_config=library("transformers").GenerationConfig(
            num_beams=beam,
            num_return_sequences=n_best,
            early_stopping="never" if beam > 1 else False,
            length_penalty=length_penalty,
            no_repeat_ngram_size=no_repeat_ngram,
            max_new_tokens=max(int(max_lengths.max()) - len(prefix), 0) + 1,
            do_sample=False,
            use_cache=True,
            decoder_start_token_id=symbols.bos,
            bos_token_id=symbols.bos,
            eos_token_id=symbols.eos,
            pad_token_id=symbols.pad,
        ),
    )[:, 1:]
    ends_N = (found_NL[:, len(prefix) :] == symbols.eos).int().argmax(dim=1) + len(prefix)  # `Limits` guarantees one
    read_NL = torch.cat((torch.full_like(found_NL[:, :1], symbols.bos), found_NL[:, :-1]), dim=1)
    repeated = source.repeat_interleave(n_best, 0), source_lengths.repeat_interleave(n_best, 0)
    chosen_NL1 = model.log_probabilities(model(*repeated, read_NL)).gather(2, found_NL.unsqueeze(2))
    position = torch.arange(found_NL.shape[1], device=source.device)
    counted_NL = (position >= len(prefix)) & (position <= ends_N.unsqueeze(1))
    scores_N = chosen_NL1.squeeze(2).double().masked_fill(~counted_NL, 0.0).sum(dim=1)
    rows = zip(found_NL.tolist(), ends_N.tolist(), scores_N.tolist(), strict=True)
    targets = [Generated(ids[:end], score) for ids, end, score in rows]
    return [targets[first : first + n_best] for first in range(0, len(targets), n_best)]


class Limits:
    """Forbid PAD, BOS and an early EOS, and force EOS at the length limit, for each row.

    `least` and `most` (B,) bound the number of a target's ids, without BOS and EOS.
    """

    def __init__(self, symbols: Symbols, least: Tensor, most: Tensor, beam: int) -> None:
        self._eos = symbols.eos
        self._banned = sorted({symbols.pad, symbols.bos} - {symbols.eos})
        self._least, self._most = least.repeat_interleave(beam), most.repeat_interleave(beam)

    def __call__(self, read_RT: Tensor, scores_RV: Tensor) -> Tensor:
        """Return the restricted scores of the next id, given the ids read so far."""
        written = read_RT.shape[1] - 1
        ends = scores_RV[:, self._eos].masked_fill(self._least.to(scores_RV.device) > written, -torch.inf)
        at_limit = (self._most.to(scores_RV.device) <= written).unsqueeze(1)
        scores = scores_RV.masked_fill(at_limit, -torch.inf)
        scores[:, self._banned] = -torch.inf
        scores[:, self._eos] = torch.where(at_limit.squeeze(1), scores_RV[:, self._eos], ends)
        return scores
