"""The profile of the training texts, which is registered with a version so that a server can see drift."""

import json
from collections.abc import Iterator

from seqloom import places
from seqloom.corpus.splits import read_split
from seqloom.drift.features import Extractor, recogniser
from seqloom.drift.profile import Profile, every_nth
from seqloom.languages import Direction
from seqloom.params import Params
from seqloom.tokenization.catalogue import load_tokenizer


def training_profile(params: Params, pairs: int) -> str:
    """Return the content of `seqloom.drift.profile.PROFILE` for the training split, which has that many pairs."""
    directions = {str(direction): direction for direction in params.languages.directions}

    def sources() -> Iterator[tuple[str, Direction]]:
        for pair in read_split(places.CORPUS / "train.tsv"):
            yield pair.source, directions[pair.direction]

    extractor = Extractor(load_tokenizer(places.CANDIDATE / "tokenizer"), recogniser())
    return json.dumps(Profile.of(every_nth(sources(), pairs), extractor).record()) + "\n"
