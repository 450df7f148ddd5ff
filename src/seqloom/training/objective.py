"""What training minimises: a batch in, its loss out, with every recipe that changes what is read or compared.

Network, recipes and output layer are one module, so that whatever wraps a module for several processes wraps all of it.
"""

import torch
from torch import Tensor, nn

from seqloom.batching.batches import Batch
from seqloom.models.seq2seq import Seq2Seq
from seqloom.training.loss import Loss, fused_cross_entropy, fused_r_drop
from seqloom.training.noise import drop_words, twice


class Objective(nn.Module):
    """The loss of a network on a batch: as trained on in training mode, plain cross-entropy in evaluation mode.

    `unk` and the ids in `kept` belong to word dropout: what words become, and what never does.
    """

    def __init__(
        self, model: Seq2Seq, *, label_smoothing: float, r_drop: float, word_dropout: float, unk: int, kept: Tensor
    ) -> None:
        super().__init__()
        self.model = model
        self.label_smoothing = label_smoothing
        self.r_drop = r_drop
        self.word_dropout = word_dropout
        self.unk, self.kept = unk, kept  # `kept` stays on the host, where batches are made

    def forward(self, batch: Batch) -> Loss:
        """Summed over the real target tokens of the batch, which is on the host; each token counts once."""
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
