import pytest

from seqloom.tracking.registry import Scored, compare

CHAMPION = Scored("bleu", 20.0, "a")


@pytest.mark.parametrize(
    ("new", "promoted", "reason"),
    [
        (Scored("bleu", 20.1, "a"), True, "BLEU 20.10 against 20.00 of version 3 on the same test set"),
        (Scored("bleu", 20.0, "a"), False, "BLEU 20.00 against 20.00 of version 3 on the same test set: not better"),
        (Scored("bleu", 99.0, "b"), False, "the champion, version 3, was scored on another test set"),
        (Scored("rougeL", 99.0, "a"), False, "the champion, version 3, is measured by BLEU, not ROUGE-L"),
    ],
)
def test_only_the_same_score_of_the_same_test_set_compares(new: Scored, promoted: bool, reason: str) -> None:
    verdict = compare(new, CHAMPION, "3")
    assert verdict.promoted == promoted
    assert verdict.reason.removesuffix(": they do not compare") == reason
