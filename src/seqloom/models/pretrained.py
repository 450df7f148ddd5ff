"""A Hugging Face encoder-decoder (Marian, T5, BART, mBART, ...) wrapped as a `Seq2Seq`.

The network and all its names are Hugging Face's; this module adds hidden vectors before the output layer, a step with a
cache, and attention. What happens between the decoder and the logits differs between architectures (T5 scales, Marian
adds a bias). So each network is compared with its own logits when it is loaded, and rejected if they differ.

Shapes: B batch, S source, T target, D width, N heads, H width of a head, V vocabulary, R rows (hypotheses), P target
tokens read so far.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from seqloom.errors import ModelError
from seqloom.huggingface import library
from seqloom.models.attention import source_mask
from seqloom.models.seq2seq import Seq2Seq, State
from seqloom.models.settings import Side

_TOLERANCE = 1e-4  # of the logits, relative to the largest

Layers = tuple[tuple[Tensor, Tensor], ...]


@dataclass(frozen=True)
class PretrainedState(State):
    """Encoder memory, and the keys and values per decoder layer, which are empty until the first token is read."""

    memory: Tensor  # (R, S, D)
    mask: Tensor | None  # (R, S), 1 at source tokens
    origin: Tensor  # (R,) int64, the source of each row
    source: Layers = ()  # (R, N, S, H)
    target: Layers = ()  # (R, N, P, H)
    length: int = 0

    def select(self, rows: Tensor) -> Self:
        """See `State.select`."""
        rows = rows.flatten()
        origin = self.origin.index_select(0, rows)
        target = _pick(self.target, rows)
        # If hypotheses only moved within their source, the memory stays as it is.
        if origin.shape == self.origin.shape and torch.equal(origin, self.origin):
            return replace(self, target=target)
        return replace(
            self,
            memory=self.memory.index_select(0, rows),
            mask=None if self.mask is None else self.mask.index_select(0, rows),
            origin=origin,
            source=_pick(self.source, rows),
            target=target,
        )


def _pick(layers: Layers, rows: Tensor) -> Layers:
    return tuple((key.index_select(0, rows), value.index_select(0, rows)) for key, value in layers)


class Pretrained(Seq2Seq):
    """A network of `AutoModelForSeq2SeqLM`; `files` maps the names of its configuration files to their content.

    `max_source_length` and `max_target_length` (including BOS or EOS) are the sizes of its tables of positions, or None
    if its positions have no limit.

    Raises:
        ModelError: the architecture is not supported.
    """

    def __init__(self, network: Any, files: dict[str, bytes]) -> None:
        super().__init__()
        self.network = network
        self.files = files
        self._name = type(network).__name__
        # `generate` takes defaults from here; some models force EOS at the maximal length without counting its cost.
        network.generation_config = library("transformers").GenerationConfig()
        # A stored buffer (the bias of the logits) becomes a parameter without gradient, so that it is saved and loaded
        # with the weights.
        for name in [name for name, _ in network.named_buffers() if name in network.state_dict()]:
            owner, _, last = name.rpartition(".")
            module = network.get_submodule(owner)
            buffer = module.get_buffer(last)
            delattr(module, last)
            module.register_parameter(last, nn.Parameter(buffer, requires_grad=False))
        try:
            self._encoder, self._decoder = network.get_encoder(), network.get_decoder()
            source, target = self._encoder.get_input_embeddings(), self._decoder.get_input_embeddings()
            self._output = network.get_output_embeddings()
            self.target_embedding = target
            self.source_embedding = target if source.weight is target.weight else source
            self.source_vocab_size, self.target_vocab_size = len(source.weight), len(self._output.weight)
        except (AttributeError, NotImplementedError, TypeError) as error:
            raise self._refusal("it is not an encoder-decoder over token ids") from error
        config = network.config
        self._scale = config.d_model**-0.5 if getattr(config, "scale_decoder_outputs", False) else 1.0
        self.max_source_length, self.max_target_length = _positions(self._encoder), _positions(self._decoder)

    @property
    def blocks(self) -> list[nn.Module]:
        """See `Seq2Seq.blocks`: the elements of the module lists of encoder and decoder."""
        lists = [child for side in (self._encoder, self._decoder) for child in side.children()]
        return [block for each in lists if isinstance(each, nn.ModuleList) for block in each]

    @property
    def output_weight(self) -> Tensor:
        """See `Seq2Seq.output_weight`."""
        weight: Tensor = self._output.weight
        return weight

    @property
    def output_bias(self) -> Tensor | None:
        """See `Seq2Seq.output_bias`; some networks add it in the output layer, others after it."""
        bias: Tensor | None = getattr(self._output, "bias", None)
        after: Tensor | None = getattr(self.network, "final_logits_bias", None)
        return bias if after is None else after.squeeze(0)

    def forward(self, source: Tensor, source_lengths: Tensor, target: Tensor) -> Tensor:
        """See `Seq2Seq.forward`."""
        self.fit("target", target.shape[1])
        memory, mask = self._encode(source, source_lengths)
        return self._hidden(self._decode(target, memory, mask, use_cache=False))

    def start(self, source: Tensor, source_lengths: Tensor) -> PretrainedState:
        """See `Seq2Seq.start`."""
        memory, mask = self._encode(source, source_lengths)
        return PretrainedState(memory, mask, torch.arange(len(source), device=source.device))

    def step(self, token: Tensor, state: State) -> tuple[Tensor, PretrainedState]:
        """See `Seq2Seq.step`."""
        assert isinstance(state, PretrainedState)
        self.fit("target", state.length + 1)
        # Reading a token changes the cache object, so each step gets a new one; its tensors are never modified.
        cache = library("transformers").EncoderDecoderCache(_cache(state.target), _cache(state.source))
        output = self._decode(token.unsqueeze(1), state.memory, state.mask, cache=cache, use_cache=True)
        after = replace(
            state,
            source=_layers(cache.cross_attention_cache),
            target=_layers(cache.self_attention_cache),
            length=state.length + 1,
        )
        return self.log_probabilities(self._hidden(output).squeeze(1)), after

    @torch.no_grad()
    def attention(self, source: Tensor, source_lengths: Tensor, target: Tensor) -> Tensor:
        """See `Seq2Seq.attention`: the mean over the heads of the decoder's last layer."""
        self.fit("target", target.shape[1])
        before = self.network.config._attn_implementation
        self.network.set_attn_implementation("eager")  # the others do not return weights
        try:
            memory, mask = self._encode(source, source_lengths)
            output = self._decode(target, memory, mask, use_cache=False, output_attentions=True)
        finally:
            self.network.set_attn_implementation(before)
        weights: Tensor = output.cross_attentions[-1].mean(dim=1)
        return weights

    @torch.no_grad()
    def verify(self) -> None:
        """Compare hidden vectors, bias and cached steps with the network's own logits on a few ids.

        Raises:
            ModelError: they differ, so this architecture is not supported.
        """
        training, device = self.training, self.output_weight.device
        self.eval()
        source = torch.arange(8, device=device).view(2, 4) % self.source_vocab_size
        target = torch.arange(3, 9, device=device).view(2, 3) % self.target_vocab_size
        lengths = torch.tensor([4, 2], device=device)
        try:
            _, mask = self._encode(source, lengths)
            output = self.network(input_ids=source, attention_mask=mask, decoder_input_ids=target, use_cache=False)
            theirs = output.logits.float()
            hidden = self(source, lengths, target)
            ours = nn.functional.linear(hidden, self.output_weight, self.output_bias).float()
            state, stepped = self.start(source, lengths), []
            for token in target.unbind(1):
                log_probabilities, state = self.step(token, state)
                stepped.append(log_probabilities)
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise self._refusal(f"its decoder cannot be run separately: {error}") from error
        finally:
            self.train(training)
        bound = _TOLERANCE * max(1.0, float(theirs.abs().max()))
        if theirs.shape != ours.shape or not float((theirs - ours).abs().max()) <= bound:
            raise self._refusal("its logits are not its output layer applied to its decoder's output")
        if not float((theirs.log_softmax(-1) - torch.stack(stepped, 1)).abs().max()) <= bound:
            raise self._refusal("reading a target token by token gives other results than reading it at once")

    def fit(self, side: Side, length: int) -> None:
        """Raise `ModelError` if `length` tokens, including BOS or EOS, exceed the positions of a side."""
        most = self.max_source_length if side == "source" else self.max_target_length
        if most is not None and length > most:
            raise ModelError(
                f"a {side} of {length} tokens is too long for {self._name}, which has {most} positions; lower "
                f"tokenizer.max_length{' or search.max_length_ratio' if side == 'target' else ''}"
            )

    def _encode(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        self.fit("source", source.shape[1])
        mask = source_mask(lengths, source.shape[1])
        mask = None if mask is None else mask.flatten(1).long()
        memory: Tensor = self._encoder(input_ids=source, attention_mask=mask).last_hidden_state
        return memory, mask

    def _decode(self, target: Tensor, memory: Tensor, mask: Tensor | None, **how: Any) -> Any:
        return self._decoder(input_ids=target, encoder_hidden_states=memory, encoder_attention_mask=mask, **how)

    def _hidden(self, output: Any) -> Tensor:
        hidden: Tensor = output.last_hidden_state
        return hidden if self._scale == 1.0 else hidden * self._scale

    def _refusal(self, why: str) -> ModelError:
        return ModelError(f"the architecture {self._name} cannot be fine-tuned here: {why}")


def _positions(module: nn.Module) -> int | None:
    """Return the size of the table of positions of an encoder or decoder, or None if it has none."""
    for name, child in module.named_modules():
        if isinstance(child, nn.Embedding) and name.rpartition(".")[2] in ("embed_positions", "position_embeddings"):
            return child.num_embeddings - int(getattr(child, "offset", 0))  # BART's positions start at 2
    return None


def _cache(layers: Layers) -> Any:
    """Return a Hugging Face cache that holds the given tensors without copying them."""
    library_cache = library("transformers").cache_utils
    cache = library_cache.DynamicCache()
    for key, value in layers:
        layer = library_cache.DynamicLayer()
        layer.lazy_initialization(key, value)
        layer.keys, layer.values = key, value
        cache.layers.append(layer)
    return cache


def _layers(cache: Any) -> Layers:
    return tuple((layer.keys, layer.values) for layer in cache.layers)
