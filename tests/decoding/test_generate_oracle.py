"""Compare our beam search with Hugging Face's `generate` on the same network.

How the two are aligned:

- Hugging Face divides by (ids + EOS) ** length_penalty, without the start token: our normalization `average`.
- `early_stopping="never"` is its exact termination: no live beam could be better at the maximal length.
- Its `max_length` counts the start token and EOS, so it is two more than our `max_lengths`.
- A forced EOS has no cost there, but ours has the model's log-probability. The step function here makes it free.
- Marian's decoder starts with PAD, which `bad_words_ids` forbids there and which we never write.
"""

from typing import Any, NamedTuple, Self

import pytest
import torch
from torch import Tensor

from seqloom.decoding.beam_search import beam_search
from seqloom.decoding.constraints import Constraints
from seqloom.decoding.hypotheses import Hypothesis
from seqloom.decoding.model_folder import DEFAULT_SEARCH
from seqloom.decoding.translator import Translator
from seqloom.errors import ModelError, ParamsError
from seqloom.languages import Direction
from seqloom.models.pretrained import Pretrained
from seqloom.symbols import SPECIAL_IDS, Symbols
from seqloom.tokenization.tokenizer import Tokenizer
from tests.records import search_settings

transformers = pytest.importorskip("transformers")

VOCABULARY = 40
EOS, UNK, PAD = 0, 1, 39
SYMBOLS = Symbols(pad=PAD, unk=UNK, bos=PAD, eos=EOS)
BEAM, LONGEST = 5, 16


def marian(vocabulary: int, symbols: Symbols) -> Any:
    """Return a network with random weights, so large that targets differ in content and length."""
    torch.manual_seed(3)
    model = transformers.MarianMTModel(
        transformers.MarianConfig(
            vocab_size=vocabulary, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4,
            decoder_attention_heads=4, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64,
            pad_token_id=symbols.pad, eos_token_id=symbols.eos, decoder_start_token_id=symbols.bos,
            forced_eos_token_id=None, tie_word_embeddings=False,
        )
    ).eval()  # fmt: skip
    for name, weight in model.named_parameters():
        if weight.dim() == 2 and weight.requires_grad:
            torch.nn.init.normal_(weight, std=1.0 if "embed_tokens" in name or "shared" in name else 0.3)
    model.final_logits_bias[0, symbols.eos] = 2.5
    return model


@pytest.fixture(scope="module")
def network() -> Any:
    return marian(VOCABULARY, SYMBOLS)


class Sources(NamedTuple):
    ids: Tensor  # (B, S)
    mask: Tensor  # (B, S)


def sources(count: int) -> Sources:
    draw = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 12, (count, 1), generator=draw)
    mask = (torch.arange(11) < lengths).long()
    return Sources(torch.randint(2, PAD, (count, 11), generator=draw).where(mask == 1, PAD), mask)


class DecoderState(NamedTuple):
    """Encoder memory, its mask, and the ids read so far, which the decoder reads again at every step."""

    memory: Tensor
    mask: Tensor
    ids: Tensor

    def select(self, rows: Tensor) -> Self:
        return type(self)(*(part[rows.flatten()] for part in self))


def ours(network: Any, batch: Sources, n_best: int = 1, minimum: int = 0, **search: Any) -> list[list[Hypothesis]]:
    def step(token: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        ids = torch.cat([state.ids, token.unsqueeze(1)], dim=1)
        logits = network(
            encoder_outputs=(state.memory,), attention_mask=state.mask, decoder_input_ids=ids, use_cache=False
        ).logits[:, -1]
        log_probabilities = logits.log_softmax(dim=-1)
        if ids.shape[1] == 1 + LONGEST:
            log_probabilities[:, EOS] = 0.0
        return log_probabilities, state._replace(ids=ids)

    rows = len(batch.ids)
    with torch.inference_mode():
        memory = network.get_encoder()(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        rules = Constraints.build(
            SYMBOLS,
            torch.full((rows,), LONGEST),
            min_lengths=torch.full((rows,), minimum),
            no_repeat_ngram=search.get("no_repeat_ngram", 0),
        )
        settings = search_settings(beam=BEAM, normalization="average", **search)
        state = DecoderState(memory, batch.mask, torch.empty(rows, 0, dtype=torch.int64))
        return beam_search(step, state, rules, settings, n_best)


def theirs(network: Any, batch: Sources, **changes: Any) -> tuple[list[list[int]], list[float]]:
    settings: dict[str, Any] = {"num_beams": BEAM, "early_stopping": "never", "length_penalty": 1.0} | changes
    found = network.generate(
        input_ids=batch.ids,
        attention_mask=batch.mask,
        generation_config=transformers.GenerationConfig(
            do_sample=False, max_length=LONGEST + 2, forced_eos_token_id=EOS, bad_words_ids=[[PAD]], pad_token_id=PAD,
            eos_token_id=EOS, decoder_start_token_id=PAD, return_dict_in_generate=True, output_scores=True, **settings,
        ),
    )  # fmt: skip
    targets = [row[: row.index(EOS)] for row in found.sequences[:, 1:].tolist()]
    return targets, found["sequences_scores"].tolist() if settings["num_beams"] > 1 else []


def test_beam_search_finds_the_same_targets_for_200_sources(network: Any) -> None:
    batch = sources(200)
    targets, scores = theirs(network, batch)
    found = [hypotheses[0] for hypotheses in ours(network, batch, length_penalty=1.0)]
    assert [each.ids for each in found] == targets
    assert [each.score for each in found] == pytest.approx(scores, abs=1e-5)
    # The search is not trivial: targets differ, have many lengths, and are not those of greedy search.
    greedy, _ = theirs(network, batch, num_beams=1, early_stopping=False)
    assert len(set(map(tuple, targets))) > 100
    assert len(set(map(len, targets))) >= 7
    assert sum(len(target) < LONGEST for target in targets) > 60
    assert sum(mine != other for mine, other in zip(targets, greedy, strict=True)) > 100


@pytest.mark.parametrize(
    ("search", "changes"),
    [
        ({"length_penalty": 0.0}, {"length_penalty": 0.0}),
        ({"length_penalty": 0.6, "no_repeat_ngram": 2}, {"length_penalty": 0.6, "no_repeat_ngram_size": 2}),
        ({"length_penalty": 1.0, "no_repeat_ngram": 1}, {"no_repeat_ngram_size": 1}),
        ({"length_penalty": 1.0, "minimum": 9}, {"min_new_tokens": 9}),
    ],
)
def test_n_best_lists_are_equal_under_the_same_constraints(
    network: Any, search: dict[str, Any], changes: dict[str, Any]
) -> None:
    batch = sources(50)
    targets, scores = theirs(network, batch, num_return_sequences=BEAM, **changes)
    found = [each for hypotheses in ours(network, batch, n_best=BEAM, **search) for each in hypotheses]
    assert [each.ids for each in found] == targets
    assert [each.score for each in found] == pytest.approx(scores, abs=1e-5)


@pytest.fixture(scope="module")
def pretrained(tokenizer: Tokenizer) -> Pretrained:
    return Pretrained(marian(tokenizer.target_vocab_size, SPECIAL_IDS), {}).eval()


def translator(pretrained: Pretrained, tokenizer: Tokenizer, **search: Any) -> Translator:
    settings = DEFAULT_SEARCH.model_copy(update={"normalization": "average", "no_repeat_ngram": 2} | search)
    return Translator(pretrained, tokenizer, settings, Direction("en", "de"), "cpu")


@pytest.mark.parametrize("beam", [1, 4])
def test_the_methods_generate_and_beam_find_the_same_targets(
    pretrained: Pretrained, tokenizer: Tokenizer, beam: int
) -> None:
    texts = ["the light is on", "", "off", "set {name} to %s now", "the end", "a b c d"]
    limits = {"min_length_extra": 2, "max_length_ratio": 1.0, "max_length_extra": 4, "beam": beam}
    mine = translator(pretrained, tokenizer, **limits).hypotheses(texts, beam)
    other = translator(pretrained, tokenizer, method="generate", **limits).hypotheses(texts, beam)
    assert len({found[0].text for found in mine}) > 3
    for found, expected in zip(other, mine, strict=True):
        assert [each.text for each in found] == [each.text for each in expected]
        assert [each.ids for each in found] == [each.ids for each in expected]
        assert [each.score for each in found] == pytest.approx([each.score for each in expected], abs=1e-5)
        assert [each.cut for each in found] == [each.cut for each in expected]


def test_unsupported_settings_of_the_method_generate_are_rejected(pretrained: Pretrained, tokenizer: Tokenizer) -> None:
    with pytest.raises(ParamsError, match="ranks by average only"):
        translator(pretrained, tokenizer, method="generate", normalization="wu").translate(["the end"])
    with pytest.raises(ModelError, match="does not support a prefix per text"):
        translator(pretrained, tokenizer, method="generate").translate(["on", "off"], prefixes=["a", ""])
