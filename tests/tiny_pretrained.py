"""Tiny Hugging Face model folders: random networks, with tokenizers trained on a few lines.

Tests cannot download weights, and the code under test does not depend on their values.
"""

import io
import json
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import sentencepiece
import torch

from seqloom.huggingface import library

KINDS = ("marian", "t5", "bart", "mbart", "mbart50")
PAIRS = [
    ("the house is small", "das haus ist klein"),
    ("a small garden", "ein kleiner garten"),
    ("the lamp and the door", "die lampe und die tür"),
    ("the garden is old", "der garten ist alt"),
]
POSITIONS = 32  # of the networks that have a position table
LANGUAGES = ("en_XX", "de_DE")


@cache
def _pieces() -> tuple[bytes, list[tuple[str, float]]]:
    """Return a SentencePiece model, and its pieces with their scores, without the special pieces."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(text for pair in PAIRS * 20 for text in pair), model_writer=model, vocab_size=60,
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    content = model.getvalue()
    processor = sentencepiece.SentencePieceProcessor(model_proto=content)
    ids = range(3, processor.vocab_size())
    return content, [(processor.id_to_piece(index), processor.get_score(index)) for index in ids]


def make_tokenizer(kind: str, folder: Path) -> int:
    """Write a tokenizer's files and return the size of its vocabulary."""
    hf = library("transformers")
    model, pieces = _pieces()
    folder.mkdir(parents=True, exist_ok=True)
    zero = [(name, 0.0) for name in ("<s>", "<pad>", "</s>", "<unk>")]
    tokenizer: Any
    match kind:
        case "marian":
            names = ["</s>", "<unk>", *(piece for piece, _ in pieces), "<pad>"]
            for side in ("source", "target"):
                (folder / f"{side}.spm").write_bytes(model)
            (folder / "vocab.json").write_text(json.dumps({name: index for index, name in enumerate(names)}))
            (folder / "tokenizer_config.json").write_text('{"source_lang": "en", "target_lang": "de"}')
            return len(names)
        case "t5":
            vocab = [zero[1], zero[2], zero[3], *pieces]
            tokenizer = hf.T5Tokenizer(vocab=vocab, extra_ids=0)
        case "bart":
            words = sorted({f"Ġ{word}" for pair in PAIRS for text in pair for word in text.split() if word.isascii()})
            merges = [(word[:end], letter) for word in words for end, letter in enumerate(word[1:], 1)]
            letters = import_module("transformers.convert_slow_tokenizer").bytes_to_unicode().values()
            names = [name for name, _ in zero] + sorted(letters)
            names += sorted({left + right for left, right in merges})  # each word is merged letter by letter
            tokenizer = hf.BartTokenizer(
                vocab={piece: index for index, piece in enumerate(dict.fromkeys(names))},
                merges=list(dict.fromkeys(merges)),
            )
        case "mbart":
            codes = import_module("transformers.models.mbart.tokenization_mbart").FAIRSEQ_LANGUAGE_CODES
            vocab = [*zero, *pieces, *((code, 0.0) for code in codes), ("<mask>", 0.0)]
            tokenizer = hf.MBartTokenizer(vocab=vocab)
        case "mbart50":
            tokenizer = hf.MBart50Tokenizer(vocab=[zero[3], zero[0], zero[2], *pieces])
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def make_network(kind: str, folder: Path, size: int, **config: Any) -> Any:
    """Write a random network with a vocabulary of `size` and return it. All parameters are random, none is zero."""
    hf = library("transformers")
    layers = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    usual = {**layers, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "d_model": 16, "vocab_size": size}
    usual |= {"max_position_embeddings": POSITIONS}
    torch.manual_seed(3)
    network: Any
    match kind:
        case "marian":
            ends = {"pad_token_id": size - 1, "eos_token_id": 0, "decoder_start_token_id": size - 1}
            usual |= {**ends, "forced_eos_token_id": 0, "decoder_vocab_size": size}
            network = hf.MarianMTModel(hf.MarianConfig(**usual | config))
        case "t5":
            small = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0}
            network = hf.T5ForConditionalGeneration(hf.T5Config(vocab_size=size, **small | config))
        case "bart":
            ends = {"decoder_start_token_id": 2, "forced_bos_token_id": 0}
            network = hf.BartForConditionalGeneration(hf.BartConfig(**usual | ends | config))
        case _:
            usual |= {"decoder_start_token_id": 2} if kind == "mbart50" else {}
            network = hf.MBartForConditionalGeneration(hf.MBartConfig(**usual | config))
    for parameter in network.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    if hasattr(network, "final_logits_bias"):
        network.final_logits_bias.normal_()
    network.save_pretrained(folder)
    return network.eval()


def make_pretrained(kind: str, folder: Path, **config: Any) -> Any:
    """Write a tokenizer and a network to a folder, and return the network."""
    return make_network(kind, folder, make_tokenizer(kind, folder), **config)
