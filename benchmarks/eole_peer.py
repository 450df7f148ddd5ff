"""Train with eole (the successor of OpenNMT-py) on the same tokens, with its own command; a peer for `peer_throughput`.

The settings are those that suit eole best: one bucket with all pairs, sorted by length and cut at the token budget,
fused attention, no attention entropy, and neither validation nor checkpoints. Batches are built in the training
process; worker processes were not tried.
"""

import re
from pathlib import Path

import yaml

from benchmarks.token_stores import SIDES, VOCABULARY
from seqloom.models.settings import TRANSFORMER_PRESETS, Preset

VERSION = "0.6.4"
# Imports of eole that seqloom does not need; its other dependencies are for tasks that are not measured.
REQUIREMENTS = (f"eole=={VERSION}", "pyonmttok==1.38.1", "torch-optimi==0.3.3")

_REPORT = re.compile(r"Step +\d+/.*; *\d+/ *(\d+) tok/s;")


def command(folder: Path, shape: Preset, tokens_per_batch: int, dropout: float) -> list[str]:
    """Write the configuration into `folder`, which has train.en, train.de and vocabulary.txt; return the command."""
    size = TRANSFORMER_PRESETS[shape]
    source, target = (folder / f"train.{side}" for side in SIDES)
    assert size["encoder_layers"] == size["decoder_layers"]
    config = {
        "src_vocab": str(folder / "vocabulary.txt"),
        "share_vocab": True,
        "src_vocab_size": VOCABULARY,
        "tgt_vocab_size": VOCABULARY,
        "pad_token": "<pad>",
        "save_data": str(folder / "eole"),
        "overwrite": True,
        "seed": 1,
        "report_every": 1,
        "data": {"train": {"path_src": str(source), "path_tgt": str(target)}},
        "model": {
            "architecture": "transformer",
            "hidden_size": size["width"],
            "transformer_ff": size["feed_forward"],
            "heads": size["heads"],
            "layers": size["encoder_layers"],
            "share_embeddings": True,
            "share_decoder_embeddings": True,
            "generator_bias": False,
            "add_qkvbias": True,
            "add_final_linear_bias": True,
            "add_ffnbias": True,
            "embeddings": {
                "word_vec_size": size["width"],
                "position_encoding": True,
                "position_encoding_type": "SinusoidalInterleaved",
            },
        },
        "training": {
            "model_path": str(folder / "eole-model"),
            "train_steps": 1_000_000,
            "valid_steps": 1_000_000,
            "save_checkpoint_steps": 0,
            "bucket_size": source.read_bytes().count(b"\n"),  # all pairs; more would be read before the first update
            "num_workers": 0,
            "batch_type": "tokens",
            "batch_size": tokens_per_batch,
            "normalization": "tokens",
            "compute_dtype": "fp32",
            "optim": "adamw",
            "adam_beta2": 0.98,
            "learning_rate": 1.0,
            "decay_method": "noam",
            "warmup_steps": 4000,
            "max_grad_norm": 1.0,
            "dropout": [dropout],
            "attention_dropout": [0.0],
            "label_smoothing": 0.1,
            "param_init_method": "xavier_uniform",
            "log_attention_entropy": False,
        },
    }  # fmt: skip
    file = folder / "eole.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return ["-m", "eole.bin.main", "train", "-config", str(file)]


def rate(line: str) -> float | None:
    """Return the target tokens per second, without padding and with EOS, of the update in a line of its log."""
    return float(found[1]) if (found := _REPORT.search(line)) else None
