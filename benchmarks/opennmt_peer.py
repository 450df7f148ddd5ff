"""Train with OpenNMT-py on the same tokens, with its own command; a peer for `peer_throughput`.

OpenNMT-py is no longer developed; eole is its successor, and reports its speed in the same form (`eole_peer.rate`).
OpenNMT-py needs torch before 2.3, so it gets an environment of its own with the newest torch that it allows. The
settings are those that suit it best, as for eole: one bucket with all pairs, batches built in the training process, and
neither validation nor checkpoints.
"""

from pathlib import Path

import yaml

from benchmarks.token_stores import SIDES, VOCABULARY
from seqloom.models.settings import TRANSFORMER_PRESETS, Preset

VERSION = "3.5.1"
REQUIREMENTS = (f"OpenNMT-py=={VERSION}", "numpy<2")


def command(folder: Path, shape: Preset, tokens_per_batch: int, dropout: float) -> list[str]:
    """Write the configuration into `folder`, which has train.en, train.de and vocabulary.txt; return the command."""
    size = TRANSFORMER_PRESETS[shape]
    source, target = (folder / f"train.{side}" for side in SIDES)
    vocabulary = str(folder / "vocabulary.txt")
    config = {
        "src_vocab": vocabulary,
        "tgt_vocab": vocabulary,
        "share_vocab": True,
        "src_vocab_size": VOCABULARY,
        "tgt_vocab_size": VOCABULARY,
        "save_data": str(folder / "opennmt"),
        "save_model": str(folder / "opennmt-model"),
        "overwrite": True,
        "seed": 1,
        "report_every": 1,
        "data": {"train": {"path_src": str(source), "path_tgt": str(target), "transforms": []}},
        "encoder_type": "transformer",
        "decoder_type": "transformer",
        "hidden_size": size["width"],
        "word_vec_size": size["width"],
        "transformer_ff": size["feed_forward"],
        "heads": size["heads"],
        "enc_layers": size["encoder_layers"],
        "dec_layers": size["decoder_layers"],
        "share_embeddings": True,
        "share_decoder_embeddings": True,
        "position_encoding": True,
        "add_qkvbias": True,
        "train_steps": 1_000_000,
        "valid_steps": 1_000_000,
        "save_checkpoint_steps": 1_000_000,
        "bucket_size": source.read_bytes().count(b"\n"),  # all pairs; more would be read before the first update
        "num_workers": 0,
        "batch_type": "tokens",
        "batch_size": tokens_per_batch,
        "normalization": "tokens",
        "model_dtype": "fp32",
        "optim": "adam",
        "adam_beta2": 0.98,
        "learning_rate": 1.0,
        "decay_method": "noam",
        "warmup_steps": 4000,
        "max_grad_norm": 1.0,
        "dropout": [dropout],
        "attention_dropout": [0.0],
        "label_smoothing": 0.1,
        "param_init": 0.0,
        "param_init_glorot": True,
    }  # fmt: skip
    file = folder / "opennmt.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return ["-m", "onmt.bin.train", "-config", str(file)]
