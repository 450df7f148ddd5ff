"""Recurrent networks as written in the papers: one row, one position and one gate at a time, without padding.

They take their weights from one of our networks and share no code with it. Vectors are (width,), sources and targets
are plain lists of ids.
"""

import torch
from torch import Tensor, nn

from seqloom.models.attention_lstm import AttentionLstm
from seqloom.models.lstm import Lstm

Hidden = tuple[Tensor, ...]


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + (-x).exp())


def lstm_step(x: Tensor, hidden: Hidden, kernel: nn.Module, suffix: str, fed: Tensor | None) -> Hidden:
    """Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000."""
    h, c = hidden
    w, u = getattr(kernel, "weight_ih" + suffix), getattr(kernel, "weight_hh" + suffix)
    b = getattr(kernel, "bias_ih" + suffix) + getattr(kernel, "bias_hh" + suffix)
    size = len(h)
    fed = torch.zeros(4 * size) if fed is None else fed

    def before(gate: int) -> Tensor:
        rows = slice(gate * size, (gate + 1) * size)
        return w[rows] @ x + u[rows] @ h + b[rows] + fed[rows]

    i, f, g, o = sigmoid(before(0)), sigmoid(before(1)), torch.tanh(before(2)), sigmoid(before(3))
    c = f * c + i * g
    return o * torch.tanh(c), c


def gru_step(x: Tensor, hidden: Hidden, kernel: nn.Module, suffix: str, fed: Tensor | None) -> Hidden:
    """Cho et al. 2014, with the reset gate of cuDNN."""
    (h,) = hidden
    size = len(h)
    from_x = getattr(kernel, "weight_ih" + suffix) @ x + getattr(kernel, "bias_ih" + suffix)
    if fed is not None:
        from_x = from_x + fed
    from_h = getattr(kernel, "weight_hh" + suffix) @ h + getattr(kernel, "bias_hh" + suffix)
    r = sigmoid(from_x[:size] + from_h[:size])
    z = sigmoid(from_x[size : 2 * size] + from_h[size : 2 * size])
    n = torch.tanh(from_x[2 * size :] + r * from_h[2 * size :])
    return ((1 - z) * n + z * h,)


def step(x: Tensor, hidden: Hidden, kernel: nn.Module, suffix: str = "_l0", fed: Tensor | None = None) -> Hidden:
    return (lstm_step if isinstance(kernel, nn.LSTM) else gru_step)(x, hidden, kernel, suffix, fed)


def zeros(kernel: nn.Module, size: int) -> Hidden:
    return tuple(torch.zeros(size) for _ in range(2 if isinstance(kernel, nn.LSTM) else 1))


def encode(model: Lstm | AttentionLstm, source: list[int]) -> tuple[list[Tensor], list[Hidden]]:
    """The memory, one vector per token, and the state that each layer passes to the decoder."""
    xs = [model.source_embedding.weight[token] for token in source]
    states = []
    for layer in model.encoder.layers:
        kernel = layer.kernel
        directions, last = [], []
        for suffix in ("_l0", "_l0_reverse") if kernel.bidirectional else ("_l0",):
            hidden = zeros(kernel, kernel.hidden_size)
            outs = []
            for x in xs if suffix == "_l0" else xs[::-1]:
                hidden = step(x, hidden, kernel, suffix)
                outs.append(hidden[0])
            directions.append(outs if suffix == "_l0" else outs[::-1])
            last.append(hidden)
        xs = [torch.cat(each) for each in zip(*directions, strict=True)]
        states.append(tuple(torch.cat(each) for each in zip(*last, strict=True)))
    return xs, states


def bridged(model: Lstm | AttentionLstm, states: list[Hidden]) -> list[Hidden]:
    """tanh of a linear layer for the hidden state, a linear layer for the cell."""
    if not model.encoder.bridges:
        return states
    handed = states[len(states) - len(model.encoder.bridges) :]
    crossed = []
    for bridge, hidden in zip(model.encoder.bridges, handed, strict=True):
        each = [linear.weight @ x + linear.bias for linear, x in zip(bridge.linears, hidden, strict=True)]
        crossed.append((torch.tanh(each[0]), *each[1:]))
    return crossed


def narrowed(model: Lstm | AttentionLstm, vectors: list[Tensor]) -> Tensor:
    stacked = torch.stack(vectors)
    return stacked @ model.narrow.weight.T if isinstance(model.narrow, nn.Linear) else stacked


def lstm(model: Lstm, source: list[int], target: list[int]) -> Tensor:
    """Hidden vectors (T, D) of one pair (Sutskever et al. 2014)."""
    _, states = encode(model, source[::-1] if model.reverse_source else source)
    hiddens = bridged(model, states)
    outs = []
    for token in target:
        x = model.target_embedding.weight[token]
        for index, layer in enumerate(model.decoder.layers):
            hiddens[index] = step(x, hiddens[index], layer.kernel)
            x = hiddens[index][0]
        outs.append(x)
    return narrowed(model, outs)


def attention_lstm(model: AttentionLstm, source: list[int], target: list[int]) -> tuple[Tensor, Tensor]:
    """Hidden vectors (T, D) and attention weights (T, S) of one pair (Luong et al. 2015, equations 5, 7 and 8)."""
    memory, states = encode(model, source)
    depth = len(model.decoder.layers)
    hiddens = bridged(model, states)[-depth:]
    size = len(memory[0])
    hiddens = [zeros(model.decoder.layers[0].kernel, size)] * (depth - len(hiddens)) + hiddens
    attentional = torch.zeros(size)
    vectors, looks = [], []
    for token in target:
        x = model.target_embedding.weight[token]
        for index, layer in enumerate(model.decoder.layers):
            fed = model.feed.weight @ attentional if model.feed is not None and index == 0 else None
            hiddens[index] = step(x, hiddens[index], layer.kernel, fed=fed)
            x = hiddens[index][0]
        scores = torch.stack([score(model.look, x, each) for each in memory])
        weights = scores.exp() / scores.exp().sum()
        context = sum((weight * each for weight, each in zip(weights, memory, strict=True)), torch.zeros(size))
        attentional = torch.tanh(model.combine.weight @ torch.cat((context, x)))
        vectors.append(attentional)
        looks.append(weights)
    return narrowed(model, vectors), torch.stack(looks)


def score(look: nn.Module, query: Tensor, memory: Tensor) -> Tensor:
    """Additive (Bahdanau et al. 2015, A.1.2), general and dot (Luong et al. 2015, equation 8)."""
    if hasattr(look, "vector"):
        return look.vector @ torch.tanh(look.query.weight @ query + look.key.weight @ memory)
    if hasattr(look, "key"):
        return query @ (look.key.weight @ memory)
    return query @ memory
