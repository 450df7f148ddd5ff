"""Train a Marian network with Hugging Face's Seq2SeqTrainer; a peer for `peer_throughput`, which needs the extra `hf`.

    python -m benchmarks.transformers_peer FOLDER SHAPE TOKENS_PER_BATCH DROPOUT

FOLDER contains train.en, train.de and vocabulary.txt. The trainer's batches have a fixed number of pairs of similar
length; the number is chosen so that they have the budget of target tokens on average. One line is printed per update.
"""

import re
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.token_stores import read_pieces
from seqloom.models.settings import TRANSFORMER_PRESETS, Preset

REQUIREMENTS = ("accelerate==1.15.0",)  # needed by the trainer besides the extra
_REPORT = re.compile(r"^update \d+: ([\d.]+) target tokens/s$")


def command(folder: Path, shape: Preset, tokens_per_batch: int, dropout: float) -> list[str]:
    """Return the command; it needs `REQUIREMENTS` and the extra `hf`."""
    return ["-m", "benchmarks.transformers_peer", str(folder), shape, str(tokens_per_batch), str(dropout)]


def rate(line: str) -> float | None:
    """Return the target tokens per second, without padding and with EOS, of the update in a line of its output."""
    return float(found[1]) if (found := _REPORT.search(line)) else None


def main() -> None:
    """Train until the process is ended."""
    import torch
    from transformers import MarianConfig, MarianMTModel, Seq2SeqTrainer, Seq2SeqTrainingArguments, TrainerCallback

    folder, tokens_per_batch, dropout = Path(sys.argv[1]), int(sys.argv[3]), float(sys.argv[4])
    size = {str(shape): size for shape, size in TRANSFORMER_PRESETS.items()}[sys.argv[2]]
    ids, read = read_pieces(folder)
    eos, pad, bos = ids["</s>"], ids["<pad>"], ids["<s>"]
    pairs: list[dict[str, Any]] = [
        {"input_ids": [*source, eos], "labels": [*target, eos], "length": 1 + max(len(source), len(target))}
        for source, target in read
    ]
    mean = sum(pair["length"] for pair in pairs) / len(pairs)
    counted: list[int] = []  # target tokens of batches that were built but not yet trained on

    def padded(rows: list[list[int]], value: int) -> torch.Tensor:
        longest = max(map(len, rows))
        return torch.tensor([row + [value] * (longest - len(row)) for row in rows])

    def collate(batch: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        sources, targets = ([pair[name] for pair in batch] for name in ("input_ids", "labels"))
        counted.append(sum(map(len, targets)))
        source = padded(sources, pad)
        return {
            "input_ids": source,
            "attention_mask": source.ne(pad).long(),
            "labels": padded(targets, -100),
            "decoder_input_ids": padded([[bos, *target[:-1]] for target in targets], pad),
        }

    class Clock(TrainerCallback):
        last = 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            now = time.monotonic()
            print(f"update {state.global_step}: {counted.pop(0) / (now - self.last):.1f} target tokens/s", flush=True)
            self.last = now

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.last = time.monotonic()

    torch.manual_seed(1)
    config = MarianConfig(
        vocab_size=len(ids), decoder_vocab_size=len(ids), d_model=size["width"],
        encoder_layers=size["encoder_layers"], decoder_layers=size["decoder_layers"],
        encoder_attention_heads=size["heads"], decoder_attention_heads=size["heads"],
        encoder_ffn_dim=size["feed_forward"], decoder_ffn_dim=size["feed_forward"],
        activation_function="relu", scale_embedding=True, max_position_embeddings=512, dropout=dropout,
        pad_token_id=pad, eos_token_id=eos, bos_token_id=bos, decoder_start_token_id=bos,
    )  # fmt: skip
    arguments = Seq2SeqTrainingArguments(
        output_dir=str(folder / "transformers"), per_device_train_batch_size=round(tokens_per_batch / mean),
        max_steps=1_000_000, learning_rate=1e-3, warmup_steps=100, weight_decay=0.01, max_grad_norm=1.0,
        label_smoothing_factor=0.1, train_sampling_strategy="group_by_length", remove_unused_columns=False,
        eval_strategy="no", save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True, logging_steps=50,
    )  # fmt: skip
    trainer = Seq2SeqTrainer(
        MarianMTModel(config), arguments, data_collator=collate, train_dataset=pairs, callbacks=[Clock()]
    )
    trainer.train()


if __name__ == "__main__":
    main()
