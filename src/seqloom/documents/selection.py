"""Which texts of a document are translated, and why others are not."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from seqloom.documents.report import Left
from seqloom.formats.language_tags import matches
from seqloom.formats.pieces import Flag, Notice, Piece, Skip, Unit
from seqloom.languages import Direction

OTHER_LANGUAGES = "other languages"
_NEVER: tuple[Flag, ...] = ("untranslatable", "obsolete")
_NOT_TEXT = ("alias", "blank line", "header", "reference")  # reasons to skip what is no text of its own


@dataclass
class Choice:
    """The units to translate in the order of the document, and counts of the others."""

    units: list[Unit] = field(default_factory=list)
    texts: int = 0  # units with a source
    kept: int = 0  # units that are translated already
    left: list[Left] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    declared: dict[str, None] = field(default_factory=dict)  # language pairs other than the direction


def choose(pieces: Iterable[Piece], bilingual: bool, direction: Direction, again: frozenset[Flag]) -> Choice:
    """Return the units to translate: those without a translation, and those whose flags are in `again`."""
    choice, keys = Choice(), Counter[str]()
    for piece in pieces:
        match piece:
            case Unit() if piece.source.strip():
                keys[piece.key] += 1
                _judge(piece, choice, bilingual, direction, again)
            case Skip() if piece.reason not in _NOT_TEXT:
                choice.left.append(Left(piece.reason, "", piece.line, piece.text))
            case Notice():
                choice.notices.append(f"line {piece.line}: {piece.message}")
            case _:
                pass
    # A translation is written into every unit with its key, so all of them must want it.
    chosen = Counter(unit.key for unit in choice.units)
    double = [unit for unit in choice.units if chosen[unit.key] < keys[unit.key]]
    choice.left += [Left("duplicate key", unit.key, unit.line, unit.source) for unit in double]
    choice.units = [unit for unit in choice.units if chosen[unit.key] == keys[unit.key]]
    return choice


def _judge(unit: Unit, choice: Choice, bilingual: bool, direction: Direction, again: frozenset[Flag]) -> None:
    both = list(zip(unit.languages, direction, strict=True))
    if not all(not given or matches(given, wanted) for given, wanted in both):
        choice.declared[" to ".join(each or "?" for each in unit.languages)] = None
        choice.left.append(Left(OTHER_LANGUAGES, unit.key, unit.line, unit.source))
        return
    choice.texts += 1
    never = next((flag for flag in _NEVER if flag in unit.flags), None)
    if never is not None:
        choice.left.append(Left(never, unit.key, unit.line, unit.source))
    elif not bilingual or unit.target is None or again.intersection(unit.flags) or _is_copy(unit):
        choice.units.append(unit)
    else:
        choice.kept += 1


def _is_copy(unit: Unit) -> bool:
    """Whether a tool has copied the source into the target, for a translator to overwrite."""
    return "draft" in unit.flags and unit.target == unit.source
