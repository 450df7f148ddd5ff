"""score_corpus: score the training pairs with registered versions, and name those that training leaves out.

data/scores gets scores.tsv with the cross-entropies and scores of every pair, left_out.npy with the rows that
train_tokenizer leaves out, and summary.json; reports/scores gets a page with histograms and examples. Without models,
both folders are empty. Cross-entropies are kept in scratch/score_corpus by the hash of what they were made from, so
another threshold takes seconds.
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqloom.files import replacing_folder, write_json, write_text
from seqloom.params import Params
from seqloom.places import CORPUS, SCORES, SCORES_REPORT, SCRATCH
from seqloom.places import LOCAL as LOCAL  # a model folder may be below it
from seqloom.progress import Listener

if TYPE_CHECKING:  # a stage that is switched off imports nothing
    from seqloom.filtering.scores import Cut, Numbers
    from seqloom.filtering.scoring import Entropies

_logger = logging.getLogger(__name__)


def run(params: Params, listen: Listener) -> None:
    """Write data/scores and reports/scores.

    Raises:
        RegistryError: a version cannot be fetched.
        ModelError: a model cannot be loaded, or does not translate in a direction that is needed.
        ShardError: some shards cannot be scored.
    """
    with replacing_folder(SCORES) as scores, replacing_folder(SCORES_REPORT) as report:
        if params.score_corpus.models:
            _score(params, scores, report, listen)
        else:
            _logger.info("switched off: score_corpus in params.yaml names no model")


def _score(params: Params, folder: Path, report: Path, listen: Listener) -> None:
    import numpy as np

    from seqloom.corpus.left_out import write_left_out
    from seqloom.corpus.splits import Split, read_split
    from seqloom.filtering.report import page
    from seqloom.filtering.scores import cuts, scores
    from seqloom.filtering.scoring import score_pairs
    from seqloom.sharding.launching import choose_launcher
    from seqloom.sharding.mapping import Workshop
    from seqloom.tracking.registry.pinned import pinned_folder

    settings = params.score_corpus
    models = {role: pinned_folder(model, f"score_corpus.{role}") for role, model in settings.models.items()}
    split = CORPUS / Split.train.file_name
    work = Workshop(
        SCRATCH / "score_corpus", choose_launcher(params.workers, device=params.train.device), params.train.device
    )
    entropies = score_pairs(split, models, params.languages.directions, work, listen)
    found = scores(entropies.by_role, entropies.directions, centred=settings.centred)
    # Synthetic pairs may have noise and a tag on purpose, so they get scores but are not left out.
    synthetic = np.isin(entropies.corpora, list(params.translate_corpus))
    bounds = cuts(found, np.where(synthetic, "", entropies.directions), settings)
    left_out = np.logical_or.reduce([bound.below for bound in bounds.values()])
    write_left_out(folder, np.flatnonzero(left_out))
    with (folder / "scores.tsv").open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_table(entropies, found, bounds))
    write_json(folder / "summary.json", _summary(settings.models, found, bounds, int(left_out.sum())))
    write_text(report / "index.html", page(read_split(split), found, bounds, left_out))


def _table(entropies: "Entropies", found: "Mapping[str, Numbers]", bounds: "Mapping[str, Cut]") -> Iterator[str]:
    """Yield a line per pair, in the order of the training split: cross-entropies, scores, and why it is left out."""
    yield "\t".join(["row", *entropies.by_role, *found, "left_out"]) + "\n"
    columns = [*entropies.by_role.values(), *found.values()]
    for row in range(len(entropies.directions)):
        reasons = ",".join(name for name, bound in bounds.items() if bound.below[row])
        yield "\t".join([str(row), *(f"{column[row]:.5g}" for column in columns), reasons]) + "\n"


def _summary(
    models: Mapping[str, str], found: "Mapping[str, Numbers]", bounds: "Mapping[str, Cut]", left_out: int
) -> dict[str, Any]:
    """Return the models, and the numbers of pairs and the bounds of each score."""
    import numpy as np

    quantiles = (1, 5, 10, 25, 50, 75, 90)
    return {
        "models": dict(models),
        "pairs": len(next(iter(found.values()))),
        "left_out": left_out,
        "scores": {
            name: {
                "left_out": int(bounds[name].below.sum()),
                "least": bounds[name].least,
                "percentiles": {str(each): round(float(np.percentile(values, each)), 6) for each in quantiles},
            }
            for name, values in found.items()
        },
    }
