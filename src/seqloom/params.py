"""params.yaml as one typed, validated record. Bad values stop here, before any work, with their line.

How the file is read as YAML is in `plain_yaml`.
"""

import difflib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ConfigDict, Field, ValidationError

from seqloom.corpus.settings import GuardSettings, Languages, Name, PrepareSettings, Source, check_corpora
from seqloom.decoding.settings import SearchSettings
from seqloom.errors import ParamsError
from seqloom.evaluation.settings import EvaluateSettings, Task
from seqloom.gate.settings import GateSettings
from seqloom.models.settings import ModelSettings
from seqloom.plain_yaml import read, read_text
from seqloom.settings import Faults, Settings, check
from seqloom.text import FORMS, STANDARD, Forms, check_pattern
from seqloom.tokenization.settings import TokenizerSettings
from seqloom.tracking.client.settings import RegisterSettings
from seqloom.training.settings import TrainSettings

PARAMS_FILE = Path("params.yaml")
Record = TypeVar("Record", bound=Settings)
_MOST_FAULTS = 100
_LONGEST_VALUE = 80  # characters of a value in a message


class Purpose(Settings):
    """What the model is for and where it is filed: the sections that name it in the registry. Others may be wrong."""

    model_config = ConfigDict(extra="ignore")

    task: Task
    languages: Languages
    register_: RegisterSettings = Field(alias="register")


class PlaceholderSettings(Settings):
    """What counts as a placeholder. Models keep it, cleaning and scoring look for it."""

    forms: list[str] = Field(default_factory=lambda: list(STANDARD))  # names of `seqloom.text.FORMS`
    patterns: list[str] = Field(default_factory=list)  # regular expressions of one's own, which win over the forms

    @check
    def _known(self) -> Faults:
        for name in self.forms:
            if name not in FORMS:
                yield "forms", f"{name!r} is no form of placeholders; valid are {', '.join(FORMS)}"

    @check
    def _valid(self) -> Faults:
        for pattern in self.patterns:
            try:
                check_pattern(pattern)
            except ValueError as error:
                yield "patterns", str(error)

    def build(self) -> Forms:
        """Return the forms."""
        return Forms(self.forms, self.patterns)


class Params(Settings):
    """The whole of params.yaml, a field per section."""

    task: Task
    languages: Languages
    corpora: dict[Name, Source] = Field(min_length=1, max_length=1000)
    placeholders: PlaceholderSettings = Field(default_factory=PlaceholderSettings)
    prepare: PrepareSettings
    tokenizer: TokenizerSettings
    model: ModelSettings
    train: TrainSettings
    search: SearchSettings
    evaluate: EvaluateSettings
    guard: GuardSettings
    gate: GateSettings
    register_: RegisterSettings = Field(alias="register")

    @check
    def _one_vocabulary(self) -> Faults:
        if self._is_own and self.model.tied_embeddings == "all" and not self.tokenizer.joint:
            yield "model.tied_embeddings", "is 'all', which needs tokenizer.joint: true (or tie 'target')"

    @check
    def _search_there_is(self) -> Faults:
        if self._is_own and self.search.method == "generate":
            yield "search.method", "is 'generate', which only model.name: pretrained has; use beam"

    @check
    def _directions_for_the_model(self) -> Faults:
        if not self._is_own and len(self.languages.directions) > 1:
            yield "languages", "lists several directions, but model.name is 'pretrained', which is trained on one"

    @check
    def _directions_for_the_task(self) -> Faults:
        (one, *_) = self.languages.directions
        if self.task == "translation" and one.source == one.target:
            yield "languages.target", f"task is 'translation', but languages has {one.source!r} on both sides"

    @check
    def _one_start(self) -> Faults:
        if self.train.start is not None:
            for side in self.model.embeddings.files:
                yield f"model.embeddings.{side}", "train.start names a model, which has embeddings: set this to null"

    @check
    def _corpora_for_the_languages(self) -> Faults:
        for field, said in check_corpora(self.corpora, self.languages):
            yield f"corpora.{field}", said

    @check
    def _room_for_languages(self) -> Faults:
        languages = len(self.languages.target_languages)
        size, taken = self.tokenizer.vocab_size, self.tokenizer.taken(languages)
        if self._is_own and self.tokenizer.taken(1) < size <= taken:
            yield (
                "tokenizer.vocab_size",
                f"is {size}, which leaves no room for {languages} target languages: {taken} pieces are taken already",
            )

    @check
    def _splits_to_draw(self) -> Faults:
        alpha = self.train.subword_sampling
        if alpha is None:
            return
        if not self._is_own:
            yield "train.subword_sampling", "a pretrained model's tokenizer splits a word in one way: set this to null"
        elif self.tokenizer.name == "characters":
            yield "train.subword_sampling", "tokenizer.name is 'characters', which splits in one way: set this to null"
        elif self.tokenizer.algorithm == "bpe" and alpha >= 1:
            yield "train.subword_sampling", f"is {alpha:g}, but of bpe it is the share of merges left out: below 1"

    @property
    def _is_own(self) -> bool:
        """Whether the network and the vocabulary are ours."""
        return self.model.name != "pretrained"


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check the params file.

    Raises:
        ParamsError: naming the file, the line, the field, what was given and what is valid, for every fault at once.
    """
    return parse_params(_text(path), str(path))


def load_purpose(path: Path = PARAMS_FILE) -> Purpose:
    """Read and check the sections task, languages and register of the params file only. Raises `ParamsError`."""
    return _parse(Purpose, _text(path), str(path))


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except OSError as error:
        raise ParamsError(f"{path}: cannot be read: {error.strerror or error}") from error


def parse_params(text: str, name: str = str(PARAMS_FILE)) -> Params:
    """Read and check params given as YAML text; `name` is what errors call it. Raises `ParamsError`."""
    return _parse(Params, text, name)


def _parse(record: type[Record], text: str, name: str) -> Record:
    tree, content = read(text, name)
    if not isinstance(content, dict):
        raise ParamsError(f"{name}: must hold the sections {', '.join(_sections())}")
    try:
        return record.model_validate(content)
    except ValidationError as error:
        found = error.errors()
        faults = sorted(_fault(tree, content, fault) for fault in found[:_MOST_FAULTS])
        lines = [f"{name}: line {line}: {said}" for line, said in faults]
        if len(found) > len(faults):
            lines.append(f"{name}: and {len(found) - len(faults):,} more faults")
        raise ParamsError("\n".join(lines)) from error


def _sections() -> Iterator[str]:
    return (field.alias or name for name, field in Params.model_fields.items())


def _fault(tree: yaml.Node | None, content: Any, fault: Any) -> tuple[int, str]:
    """The line of a fault, and `field: what is wrong; what is valid`."""
    path, line = [], 1
    node, value = tree, content
    location = list(fault["loc"])
    if location[:1] == ["corpora"] and len(location) > 3:
        del location[2]  # pydantic puts the branch of the union here, which does not stand in the file
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pairs = {key.value: (key, child) for key, child in node.value}
            if part not in pairs:
                if fault["type"] in ("missing", "extra_forbidden") and part == location[-1]:
                    path.append(str(part))
                continue
            key, node = pairs[part]
            line, value = key.start_mark.line + 1, value[part]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line, value = node.start_mark.line + 1, value[part]
        else:
            continue
        path.append(str(part))
    field = ".".join(path) or "the whole"
    match fault["type"]:
        case "missing":
            said = "is missing"
        case "extra_forbidden":
            said = "is not a setting" + _neighbours(fault["loc"])
        case "value_error":
            said = str(fault["ctx"]["error"])
        case _:
            said = f"{fault['msg'][0].lower()}{fault['msg'][1:]}"
            if not isinstance(value, dict):
                said += f", got {_shown(value)}"
    return line, f"{field}: {said}"


def _shown(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_VALUE else f"{shown[: _LONGEST_VALUE - 3]}..."


def _neighbours(location: tuple[Any, ...]) -> str:
    """The valid names beside an unknown one, the likeliest first."""
    record: Any = Params
    for part in location[:-1]:
        fields = getattr(record, "model_fields", {})
        found = next((f for n, f in fields.items() if part in (n, f.alias)), None)
        record = found.annotation if found is not None else None
    fields = getattr(record, "model_fields", None)
    if not fields:
        return ""
    valid = [field.alias or name for name, field in fields.items()]
    close = difflib.get_close_matches(str(location[-1])[:_LONGEST_VALUE], valid, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; valid are {', '.join(valid)}"
