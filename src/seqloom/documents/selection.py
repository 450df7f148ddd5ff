"""Which texts of a document are translated, which translation they have already, and why others have none."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from seqloom.documents.report import Left
from seqloom.errors import DocumentError
from seqloom.formats.language_tags import matches
from seqloom.formats.pieces import Flag, Notice, Piece, Skip, Unit
from seqloom.languages import Direction

OTHER_LANGUAGES = "other languages"
_NEVER: tuple[Flag, ...] = ("untranslatable", "obsolete")
_NOT_TEXT = ("alias", "blank line", "header", "reference")  # reasons to skip what is no text of its own


@dataclass
class Choice:
    """The units to translate in the order of the document, and what becomes of the others."""

    units: list[Unit] = field(default_factory=list)
    texts: int = 0  # units with a source
    kept: int = 0  # units that are translated already
    earlier: dict[str, str] = field(default_factory=dict)  # translations from an earlier document, by key
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


def keep_earlier(choice: Choice, pieces: Iterable[Piece], name: str) -> None:
    """Take the translations of an earlier document in the target language, by their keys.

    Raises:
        DocumentError: it has plural forms that the new one lacks, and which would be lost.
    """
    units = {piece.key: piece for piece in pieces if isinstance(piece, Unit) and piece.source.strip()}
    keys = {unit.key for unit in choice.units}
    lost = [unit for unit in units.values() if unit.key not in keys]
    plural = next((unit for unit in lost if unit.other in keys), None)
    if plural is not None:
        raise DocumentError(
            f"{name}: the earlier translation has the plural form {plural.key} (line {plural.line}), for which there "
            "is no source: it would be lost; add the form to the source document"
        )
    if lost:
        choice.notices.append(f"{len(lost):,} earlier translations have no source any more, such as {lost[0].key}")
    choice.earlier = {key: units[key].source for key in keys if key in units}
    choice.units = [unit for unit in choice.units if unit.key not in units]
    choice.kept += len(choice.earlier)


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
