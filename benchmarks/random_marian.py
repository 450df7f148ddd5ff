"""A Marian model with random weights, the size of the transformer preset, and its own tokenizer, as on a hub.

It replaces pretrained weights if none can be fetched.
"""

import gzip
import io
import json
from pathlib import Path

VOCABULARY = 8000


def write_random_marian(folder: Path, data: Path, *, seed: int = 1) -> None:
    """Write configuration, safetensors weights and tokenizer into `folder`, with a vocabulary of both sides."""
    import sentencepiece
    import torch
    from transformers import MarianConfig, MarianMTModel

    folder.mkdir(parents=True, exist_ok=True)
    lines = [line for side in ("en", "de") for line in _lines(data / f"train.{side}.gz")]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=VOCABULARY, num_threads=4, minloglevel=2,
        unk_id=0, bos_id=-1, eos_id=-1, pad_id=-1,
    )  # fmt: skip
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    vocabulary = {"</s>": 0, "<unk>": 1}
    for index in range(1, pieces.vocab_size()):
        vocabulary.setdefault(pieces.id_to_piece(index), len(vocabulary))
    vocabulary["<pad>"] = len(vocabulary)
    for name in ("source.spm", "target.spm"):
        (folder / name).write_bytes(model.getvalue())
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    described = {
        "source_lang": "en",
        "target_lang": "de",
        "model_max_length": 512,
        "tokenizer_class": "MarianTokenizer",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(described), encoding="utf-8")
    torch.manual_seed(seed)
    size = len(vocabulary)
    config = MarianConfig(
        vocab_size=size, decoder_vocab_size=size, d_model=128, encoder_layers=4, decoder_layers=4,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=256, decoder_ffn_dim=256,
        activation_function="relu", scale_embedding=True, max_position_embeddings=512,
        pad_token_id=size - 1, eos_token_id=0, bos_token_id=0, decoder_start_token_id=size - 1, forced_eos_token_id=0,
        init_std=0.05,
    )  # fmt: skip
    MarianMTModel(config).save_pretrained(folder)


def _lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
