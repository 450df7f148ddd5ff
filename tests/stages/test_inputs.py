from pathlib import Path

from seqloom import places
from seqloom.progress import ignore
from seqloom.stages import train_tokenizer
from seqloom.stages.training.inputs import resampling
from seqloom.tokenization.catalogue import load_tokenizer
from tests.stages.toy_training import SUBWORDS, change_params


def test_resampling_depends_only_on_the_seed(toy_project: Path) -> None:
    params = change_params(sections=SUBWORDS)
    train_tokenizer.run(params, ignore)
    tokenizer = load_tokenizer(places.TOKENIZER)
    source = tokenizer.encode_source("abcdef gh").ids
    pair = (source, tokenizer.encode_target("hg fedcba", ()))
    resample = resampling(tokenizer, 0.1)
    drawn = [resample(seed, [pair] * 3) for seed in (1, 2, 1)]
    assert drawn[0] == drawn[2] != drawn[1]
    assert {tokenizer.decode(target, ()) for pairs in drawn for _, target in pairs} == {"hg fedcba"}
