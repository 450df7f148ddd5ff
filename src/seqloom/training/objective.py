"""The training objective: the loss of a batch, with R-Drop, word dropout and label smoothing.

Network, output layer and loss are one module, so that distributed wrappers cover all of it. Everything random is drawn
on the host from torch's global generator, whose state every checkpoint contains.
"""

import torch
from torch import Tensor, nn

from seqloom.batching.batches import Batch
from seqloom.models.seq2seq import Seq2Seq
from seqloom.training.loss import Loss, fused_cross_entropy, fused_r_drop


class Objective(nn.Module):
    """The loss of a network on a batch: the full objective in training mode, plain cross-entropy in evaluation mode.

    Word dropout replaces ids by `unk`, except the ids in `kept`.
    """

    def __init__(
        self, model: Seq2Seq, *, label_smoothing: float, r_drop: float, word_dropout: float, unk: int, kept: Tensor
    ) -> None:
        super().__init__()
        self.model = model
        self.label_smoothing = label_smoothing
        self.r_drop = r_drop
        self.word_dropout = word_dropout
        self.unk, self.kept = unk, kept  # `kept` stays on the host, as batches do

    def forward(self, batch: Batch) -> Loss:
        """Return the loss summed over the target tokens without padding; `batch` is on the host.

        With R-Drop each token counts once, not once per pass.
        """
        if not self.training:
            return self._loss(batch, 0.0, 0.0)
        if self.r_drop:
            batch = twice(batch)
        if self.word_dropout:
            batch = drop_words(batch, self.word_dropout, self.unk, self.kept)
        return self._loss(batch, self.label_smoothing, self.r_drop)

    def _loss(self, batch: Batch, smoothing: float, r_drop: float) -> Loss:
        weight, bias = self.model.output_weight, self.model.output_bias

        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(weight.device, non_blocking=True)

        hidden = self.model(moved(batch.source), moved(batch.source_lengths), moved(batch.target_in)).flatten(0, 1)
        length = batch.target_out.shape[1]
        real = torch.arange(length).unsqueeze(0) < batch.target_lengths.unsqueeze(1)
        rows = real.flatten().nonzero().squeeze(1)
        labels = moved(batch.target_out.flatten()[rows])
        if len(rows) != len(hidden):
            hidden = hidden.index_select(0, moved(rows))
        if r_drop:
            return fused_r_drop(hidden.unflatten(0, (2, -1)), weight, bias, labels[: len(rows) // 2], smoothing, r_drop)
        return fused_cross_entropy(hidden, weight, bias, labels, smoothing)


def twice(batch: Batch) -> Batch:
    """Return the batch followed by itself, (2 B, ...): both passes of R-Drop (Liang et al. 2021, algorithm 1)."""
    return Batch(*(torch.cat((tensor, tensor)) for tensor in batch))


def drop_words(batch: Batch, share: float, unk: int, kept: Tensor) -> Batch:
    """Replace each input id of encoder and decoder by `unk` with probability `share`; labels stay as they are.

    Decoder: Bowman et al. 2016, section 3.1. Both sides: Sennrich et al. 2016, "Edinburgh Neural Machine Translation
    Systems for WMT 16". BOS, padding and the ids in `kept`, a vector, are never replaced.
    """
    return batch._replace(
        source=_dropped(batch.source, 0, batch.source_lengths, share, unk, kept),
        target_in=_dropped(batch.target_in, 1, batch.target_lengths, share, unk, kept),
    )


def _dropped(ids_BT: Tensor, first: int, lengths_B: Tensor, share: float, unk: int, kept: Tensor) -> Tensor:
    """Replace ids from column `first` on."""
    column = torch.arange(ids_BT.shape[1])
    chosen = (torch.rand(ids_BT.shape) < share) & (column >= first) & (column < lengths_B.unsqueeze(1))
    return ids_BT.masked_fill(chosen & ~torch.isin(ids_BT, kept), unk)
