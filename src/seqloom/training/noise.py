"""What training does to a batch before the network reads it. Labels stay as they are.

Everything random is drawn on the host from torch's global generator, whose state every checkpoint holds.
"""

import torch
from torch import Tensor

from seqloom.batching.batches import Batch


def twice(batch: Batch) -> Batch:
    """The batch followed by itself, (2 B, ...): the two passes of R-Drop in one (Liang et al. 2021, algorithm 1)."""
    return Batch(*(torch.cat((tensor, tensor)) for tensor in batch))


def drop_words(batch: Batch, share: float, unk: int, kept: Tensor) -> Batch:
    """Turn a share of the ids that encoder and decoder read into `unk`, each id for itself.

    Of the decoder after Bowman et al. 2016 (section 3.1), of both sides after Sennrich et al. 2016 (Edinburgh Neural
    Machine Translation Systems for WMT 16). BOS, padding and the ids in `kept`, one dimension, stay.
    """
    return batch._replace(
        source=_dropped(batch.source, 0, batch.source_lengths, share, unk, kept),
        target_in=_dropped(batch.target_in, 1, batch.target_lengths, share, unk, kept),
    )


def _dropped(ids_BT: Tensor, first: int, lengths_B: Tensor, share: float, unk: int, kept: Tensor) -> Tensor:
    """`first` is the first column that may be dropped."""
    column = torch.arange(ids_BT.shape[1])
    chosen = (torch.rand(ids_BT.shape) < share) & (column >= first) & (column < lengths_B.unsqueeze(1))
    return ids_BT.masked_fill(chosen & ~torch.isin(ids_BT, kept), unk)
