"""Hugging Face's networks behind our contract; their own logits are the oracle."""

import shutil
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from seqloom.batching.batches import BatchOrder, in_order
from seqloom.batching.store import TokenStore, TokenWriter
from seqloom.decoding.search import beam_search
from seqloom.errors import ModelError
from seqloom.models.catalogue import build_model, load_model, save_model, weights
from seqloom.models.pretrained import Pretrained
from seqloom.models.settings import PretrainedArchitecture
from seqloom.symbols import Symbols
from seqloom.training.checkpoint import Checkpoints
from seqloom.training.device import Placement
from seqloom.training.engine import Engine, InterruptError
from seqloom.training.reports import Report, StepReport
from tests.records import search_settings, train_settings
from tests.tiny_pretrained import POSITIONS, make_network

VOCABULARY = 40
KINDS = ("marian", "t5", "bart", "mbart")
SYMBOLS = {
    "marian": Symbols(pad=VOCABULARY - 1, unk=1, bos=VOCABULARY - 1, eos=0),
    "t5": Symbols(pad=0, unk=2, bos=0, eos=1),
    "bart": Symbols(pad=1, unk=3, bos=2, eos=2),
    "mbart": Symbols(pad=1, unk=3, bos=30, eos=2),
}
ARCHITECTURE = PretrainedArchitecture(name="pretrained", dropout=0.1)
LENGTHS = torch.tensor([8, 3, 6])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("networks")
    for kind in KINDS:
        make_network(kind, root / kind, VOCABULARY)
    return {kind: root / kind for kind in KINDS}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def build(folder: Path, source: int = VOCABULARY, target: int = VOCABULARY) -> Pretrained:
    model = build_model(ARCHITECTURE, source, target, folder)
    assert isinstance(model, Pretrained)
    return model


@pytest.fixture
def model(kind: str, folders: dict[str, Path]) -> Pretrained:
    torch.manual_seed(7)
    return build(folders[kind]).eval()


def random_ids(*size: int) -> torch.Tensor:
    return torch.randint(4, VOCABULARY - 1, size)


def logits(model: Pretrained, source: torch.Tensor, lengths: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return F.linear(model(source, lengths, target), model.output_weight, model.output_bias)


def theirs(network: Any, source: torch.Tensor, lengths: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    mask = torch.arange(source.shape[1]) < lengths.unsqueeze(1)
    told: torch.Tensor = network(input_ids=source, attention_mask=mask.long(), decoder_input_ids=target).logits
    return told


def test_logits_are_those_of_the_network_itself(model: Pretrained, kind: str, folders: dict[str, Path]) -> None:
    from transformers import AutoModelForSeq2SeqLM

    network = AutoModelForSeq2SeqLM.from_pretrained(folders[kind], local_files_only=True).eval()
    source, target = random_ids(3, 8), random_ids(3, 5)
    for lengths in (LENGTHS, torch.tensor([8, 8, 8])):
        ours, expected = logits(model, source, lengths, target), theirs(network, source, lengths, target)
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    assert model.source_embedding is model.target_embedding
    assert (model.output_bias is None) == (kind == "t5")


def test_cached_steps_equal_the_whole_target_at_once(model: Pretrained) -> None:
    source, target = random_ids(3, 8), random_ids(3, 6)
    expected = model.log_probabilities(model(source, LENGTHS, target))
    state = model.start(source, LENGTHS)
    for position in range(6):
        log_probabilities, state = model.step(target[:, position], state)
        torch.testing.assert_close(log_probabilities, expected[:, position], atol=1e-5, rtol=1e-5)


def test_selected_rows_go_on_as_if_they_had_been_alone_and_leave_the_others_be(model: Pretrained) -> None:
    source, target = random_ids(3, 8), random_ids(3, 3)
    started = model.start(source, LENGTHS)
    _, state = model.step(target[:, 0], started)
    before, _ = model.step(target[:, 1], state)
    rows = torch.tensor([2, 0, 2, 1])
    chosen, further = model.step(target[rows, 1], state.select(rows))
    torch.testing.assert_close(chosen, before[rows], atol=1e-5, rtol=1e-5)
    model.step(target[rows, 2], further)
    assert torch.equal(model.step(target[:, 1], state)[0], before)  # nothing of the old state was changed
    assert state.length == 1
    first, _ = model.step(target[rows, 0], started.select(rows))
    torch.testing.assert_close(first, model.step(target[:, 0], started)[0][rows], atol=1e-5, rtol=1e-5)


def test_a_beam_that_changes_places_reads_the_same_memory(model: Pretrained) -> None:
    source, target = random_ids(2, 8), random_ids(4)
    _, state = model.step(target[:2], model.start(source, LENGTHS[:2]))
    doubled = state.select(torch.tensor([0, 0, 1, 1]))
    _, stepped = model.step(target, doubled)
    turned = stepped.select(torch.tensor([1, 0, 3, 3]))
    assert turned.source is stepped.source
    assert turned.memory is stepped.memory
    assert stepped.select(torch.tensor([2, 2, 0, 1])).source is not stepped.source


def test_padding_and_the_rest_of_the_batch_change_nothing(model: Pretrained, kind: str) -> None:
    source, target = random_ids(1, 5), random_ids(1, 4)
    alone = model(source, torch.tensor([5]), target)
    pad = SYMBOLS[kind].pad
    padded = torch.cat((source, torch.full((1, 6), pad)), dim=1), torch.cat((target, torch.full((1, 3), pad)), dim=1)
    crowd = torch.cat((padded[0], random_ids(2, 11))), torch.cat((padded[1], random_ids(2, 7)))
    together = model(crowd[0], torch.tensor([5, 11, 9]), crowd[1])
    torch.testing.assert_close(together[:1, :4], alone, atol=1e-5, rtol=1e-5)


def test_attention_sums_to_one_over_real_positions_and_leaves_the_network_as_it_was(model: Pretrained) -> None:
    model.train()
    source, target = random_ids(3, 8), random_ids(3, 4)
    attention = model.attention(source, LENGTHS, target)
    assert attention.shape == (3, 4, 8)
    torch.testing.assert_close(attention.sum(-1), torch.ones(3, 4))
    real = torch.arange(8) < LENGTHS.unsqueeze(1)
    assert (attention[~real.unsqueeze(1).expand(-1, 4, -1)] == 0).all()
    assert torch.equal(model.attention(source, LENGTHS, target), attention)  # without dropout
    assert model.training
    assert model.network.config._attn_implementation == "sdpa"


def test_dropout_is_ours_and_works_in_training_alone(model: Pretrained) -> None:
    source, target = random_ids(3, 8), random_ids(3, 4)
    assert torch.equal(model(source, LENGTHS, target), model(source, LENGTHS, target))
    model.train()
    assert not torch.equal(model(source, LENGTHS, target), model(source, LENGTHS, target))
    config = model.network.config
    assert getattr(config, "dropout", None) == 0.1 or config.dropout_rate == 0.1


def test_a_stored_model_is_the_same_model_and_the_same_bytes(model: Pretrained, tmp_path: Path) -> None:
    for parameter in model.parameters():
        parameter.data += 0.01  # so that it is not the base
    save_model(model, ARCHITECTURE, tmp_path / "a")
    loaded = load_model(tmp_path / "a")
    source, target = random_ids(3, 8), random_ids(3, 5)
    assert isinstance(loaded, Pretrained)
    assert not loaded.training
    assert torch.equal(logits(loaded, source, LENGTHS, target), logits(model, source, LENGTHS, target))
    assert list(weights(loaded)) == list(weights(model))
    grads = [{name: p.requires_grad for name, p in each.named_parameters()} for each in (loaded, model)]
    assert grads[0] == grads[1]
    save_model(loaded, ARCHITECTURE, tmp_path / "b")
    names = ["config.json", "generation_config.json", "model.json", "model.safetensors"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_is_no_weight_of_theirs_is_kept_and_not_trained(folders: dict[str, Path]) -> None:
    kept = {name for name, parameter in build(folders["marian"]).named_parameters() if not parameter.requires_grad}
    positions = {f"network.model.{side}.embed_positions.weight" for side in ("encoder", "decoder")}
    assert kept == {"network.final_logits_bias", *positions}
    assert [name for name, p in build(folders["t5"]).named_parameters() if not p.requires_grad] == []


def test_tables_that_a_checkpoint_holds_apart_stay_apart(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["t5"], tmp_path / "base")  # T5 1.1: an output layer of its own, and no scaling before it
    stored = load_file(tmp_path / "base" / "model.safetensors")
    stored["lm_head.weight"] = torch.randn(VOCABULARY, 16)
    save_file(stored, tmp_path / "base" / "model.safetensors", metadata={"format": "pt"})
    config = tmp_path / "base" / "config.json"
    text = config.read_text().replace('"tie_word_embeddings": true', '"tie_word_embeddings": false')
    config.write_text(text.replace('"scale_decoder_outputs": true,', ""))
    model = build(tmp_path / "base").eval()
    assert torch.equal(model.output_weight, stored["lm_head.weight"])
    assert model.output_weight is not model.target_embedding.weight
    save_model(model, ARCHITECTURE, tmp_path / "out")
    loaded = load_model(tmp_path / "out")
    source, target = random_ids(3, 8), random_ids(3, 5)
    assert torch.equal(loaded(source, LENGTHS, target), model(source, LENGTHS, target))
    assert torch.equal(loaded.output_weight, model.output_weight)


def test_two_vocabularies_have_two_tables(tmp_path: Path) -> None:
    make_network("marian", tmp_path, VOCABULARY, decoder_vocab_size=50, share_encoder_decoder_embeddings=False)
    model = build(tmp_path, VOCABULARY, 50)
    assert model.source_embedding is not model.target_embedding
    assert (len(model.source_embedding.weight), len(model.output_weight)) == (VOCABULARY, 50)
    with pytest.raises(ModelError, match=r"40 source and 50 target ids, its tokenizer 40 and 40"):
        build(tmp_path)


def test_a_network_that_does_something_else_to_its_logits_is_refused(model: Pretrained) -> None:
    model.verify()
    model.network.get_output_embeddings().register_forward_hook(lambda module, given, told: 1.5 * told)
    with pytest.raises(ModelError, match=rf"{type(model.network).__name__} cannot be fine-tuned here: its logits"):
        model.verify()


def test_an_architecture_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    from transformers import GPT2Config, ProphetNetConfig, ProphetNetForConditionalGeneration

    layers = {f"num_{side}_layers": 1 for side in ("encoder", "decoder")}
    heads = {f"num_{side}_attention_heads": 2 for side in ("encoder", "decoder")}
    config = ProphetNetConfig(vocab_size=VOCABULARY, hidden_size=16, encoder_ffn_dim=8, decoder_ffn_dim=8)
    config.update({**layers, **heads})
    ProphetNetForConditionalGeneration(config).save_pretrained(tmp_path / "prophet")
    with pytest.raises(ModelError, match="architecture ProphetNetForConditionalGeneration cannot be fine-tuned here"):
        build(tmp_path / "prophet")
    GPT2Config().save_pretrained(tmp_path / "gpt")
    with pytest.raises(ModelError, match="'gpt2' is no encoder-decoder"):
        build(tmp_path / "gpt")


def test_a_folder_that_is_no_network_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"it has no config\.json"):
        build(tmp_path)
    with pytest.raises(ModelError, match="starts from a folder"):
        build_model(ARCHITECTURE, VOCABULARY, VOCABULARY)
    shutil.copytree(folders["marian"], tmp_path, dirs_exist_ok=True)
    file = tmp_path / "model.safetensors"
    stored = load_file(file)
    save_file({n: t for n, t in stored.items() if "layers.1.fc1" not in n}, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"weights are missing that the network needs: .*layers\.1\.fc1\.bias \(4 in"):
        build(tmp_path)
    file.write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be loaded as an AutoModelForSeq2SeqLM"):
        build(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}')
    (tmp_path / "own.py").write_text("raise SystemExit('code of a stranger was run')")
    with pytest.raises(ModelError, match=r"config\.json: is not understood"):
        build(tmp_path)


def test_a_stored_one_that_is_damaged_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    save_model(build(folders["t5"]), ARCHITECTURE, tmp_path)
    file = tmp_path / "model.safetensors"
    stored = load_file(file)
    save_file({**stored, "network.nothing": torch.zeros(2)}, file)
    with pytest.raises(ModelError, match=r"of another network: network\.nothing differs"):
        load_model(tmp_path)
    file.write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"model\.safetensors: cannot be read as safetensors"):
        load_model(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ModelError, match=r"cannot be read as safetensors|has no config\.json"):
        load_model(tmp_path)


def test_without_the_extra_the_message_says_what_to_install(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"transformers, which is not installed; pip install 'seqloom\[hf\]'"):
        build(folders["t5"])


def test_positions_end_where_their_table_does_and_nowhere_else(model: Pretrained, kind: str) -> None:
    limits = (None, None) if kind == "t5" else (POSITIONS, POSITIONS)
    assert (model.max_source_length, model.max_target_length) == limits
    longest = torch.tensor([POSITIONS])
    model(random_ids(1, POSITIONS), longest, random_ids(1, POSITIONS))
    if kind == "t5":
        model(random_ids(1, 700), torch.tensor([700]), random_ids(1, 600))
        return
    with pytest.raises(
        ModelError, match=r"a source of 33 tokens is too long for \w+, whose positions end at 32; lower"
    ):
        model.start(random_ids(1, 33), longest + 1)
    with pytest.raises(ModelError, match="a target of 33 tokens is too long"):
        model(random_ids(1, 5), torch.tensor([5]), random_ids(1, 33))


def generate(model: Pretrained, kind: str, source: torch.Tensor, **how: Any) -> Any:
    least, most = torch.tensor([2, 3, 0]), torch.tensor([9, 4, 6])
    return model.generate(
        source, LENGTHS, symbols=SYMBOLS[kind], **{"min_lengths": least, "max_lengths": most, "beam": 4, **how}
    )


def test_generate_keeps_each_sources_bounds_and_tells_true_log_probabilities(model: Pretrained, kind: str) -> None:
    source, symbols = random_ids(3, 8), SYMBOLS[kind]
    prefix = [7, 8]
    found = generate(model, kind, source, prefix=prefix, n_best=3, length_penalty=0.8)
    assert [len(targets) for targets in found] == [3, 3, 3]
    for row, (least, most) in enumerate([(2, 9), (3, 4), (0, 6)]):
        scores = []
        for ids, log_probability in found[row]:
            assert least <= len(ids) <= most
            assert ids[:2] == prefix
            assert not {symbols.pad, symbols.bos, symbols.eos} & set(ids)
            read = torch.tensor([[symbols.bos, *ids]])
            told = model.log_probabilities(model(source[row : row + 1], LENGTHS[row : row + 1], read))[0].detach()
            expected = sum(float(told[place, index]) for place, index in enumerate([*ids, symbols.eos]) if place >= 2)
            assert log_probability == pytest.approx(expected, abs=1e-4)
            scores.append(log_probability / (len(ids) - 1) ** 0.8)
        assert scores == pytest.approx(sorted(scores, reverse=True), abs=1e-4)


def test_generate_with_a_beam_of_one_takes_the_likeliest_id_each_time(model: Pretrained, kind: str) -> None:
    source, symbols = random_ids(3, 8), SYMBOLS[kind]
    most = torch.tensor([9, 4, 6])
    found = generate(model, kind, source, beam=1, min_lengths=torch.zeros(3, dtype=torch.long), max_lengths=most)
    for row in range(3):
        state = model.start(source[row : row + 1], LENGTHS[row : row + 1])
        ids: list[int] = []
        token = symbols.bos
        while len(ids) < most[row]:
            told, state = model.step(torch.tensor([token]), state)
            told[:, [index for index in (symbols.pad, symbols.bos) if index != symbols.eos]] = -torch.inf
            token = int(told.argmax())
            if token == symbols.eos:
                break
            ids.append(token)
        assert found[row][0].ids == ids


def test_generate_finds_what_our_own_search_finds(model: Pretrained, kind: str) -> None:
    source, least, most = random_ids(3, 8), torch.tensor([2, 3, 0]), torch.tensor([9, 4, 6])
    theirs = generate(model, kind, source, n_best=2, length_penalty=1.0)
    ours = beam_search(
        model.step,
        model.start(source, LENGTHS),
        rows=3,
        min_lengths=least,
        max_lengths=most,
        settings=search_settings(method="beam", beam=4, normalization="average", length_penalty=1.0),
        symbols=SYMBOLS[kind],
        n_best=2,
    )
    for found, expected in zip(theirs, ours, strict=True):
        assert [each.ids for each in found] == [each.ids for each in expected]
        probabilities = [each.log_probability for each in expected]
        assert [each.log_probability for each in found] == pytest.approx(probabilities, abs=1e-4)


def test_generate_repeats_no_ngram_where_that_is_asked(model: Pretrained, kind: str) -> None:
    least = torch.tensor([12, 12, 12])
    how = {"no_repeat_ngram": 2, "min_lengths": least, "max_lengths": least}
    for (ids, _), *_ in generate(model, kind, random_ids(3, 8), **how):
        pairs = list(pairwise(ids))
        assert len(set(pairs)) == len(pairs)


@pytest.fixture
def engine(tmp_path: Path, folders: dict[str, Path]) -> Callable[..., Engine]:
    """Makes engines that learn to copy, from the same start."""

    def made(kind: str, folder: str, reports: list[Report], stop_at: int | None = None) -> Engine:
        tokens = tmp_path / f"tokens-{kind}"
        if not tokens.exists():
            generator = torch.Generator().manual_seed(5)
            with TokenWriter(tokens, VOCABULARY, VOCABULARY, SYMBOLS[kind]) as writer:
                for _ in range(40):
                    length = int(torch.randint(2, 7, (1,), generator=generator))
                    ids = torch.randint(4, 12, (length,), generator=generator).tolist()
                    writer.add([*ids, SYMBOLS[kind].eos], ids)
        store = TokenStore.open(tokens)
        settings = train_settings(
            device="cpu", optimizer="adamw", lr=0.01, warmup_steps=2, max_steps=24, tokens_per_batch=96,
            report_every=8, validate_every=24, checkpoint_every=100, average=1, max_epochs=None,
        )  # fmt: skip
        torch.manual_seed(settings.seed)
        made_one = Engine(
            build(folders[kind]),
            BatchOrder(store, settings.tokens_per_batch, settings.seed),
            list(in_order(store, settings.tokens_per_batch)),
            settings,
            Placement(torch.device("cpu"), bf16=False),
            quality=lambda _: 1.0,
            checkpoints=Checkpoints(tmp_path / f"{folder}-{kind}", keep=2),
            listen=reports.append,
            should_stop=lambda: made_one.state.step == stop_at,
        )
        return made_one

    return made


def test_the_engine_fine_tunes_it_and_goes_on_exactly(engine: Callable[..., Engine], kind: str) -> None:
    reports: list[Report] = []
    whole = engine(kind, "whole", reports)
    fixed = {name: p.detach().clone() for name, p in whole.model.named_parameters() if not p.requires_grad}
    whole.run()
    losses = [report.loss for report in reports if isinstance(report, StepReport)]
    assert sum(losses[-4:]) < 0.95 * sum(losses[:4])
    assert all(torch.equal(whole.model.get_parameter(name), before) for name, before in fixed.items())
    with pytest.raises(InterruptError):
        engine(kind, "parts", [], stop_at=9).run()
    parts = engine(kind, "parts", [])
    parts.run()
    for name, tensor in weights(whole.model).items():
        assert torch.equal(weights(parts.model)[name], tensor), name
