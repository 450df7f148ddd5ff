"""params.yaml as one typed, validated record. Errors name the line, and are raised before any work begins.

`plain_yaml` parses the YAML.
"""

import difflib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from seqloom.corpus.corpora_settings import Source, check_corpora
from seqloom.corpus.monolingual_settings import MonolingualSource, check_monolingual
from seqloom.corpus.settings import GuardSettings, Languages, Name, PrepareSettings
from seqloom.decoding.settings import SearchSettings
from seqloom.errors import ParamsError
from seqloom.evaluation.settings import EvaluateSettings, Task
from seqloom.export.settings import ExportSettings
from seqloom.filtering.settings import ScoreSettings
from seqloom.gate.settings import GateSettings
from seqloom.models.settings import ModelSettings
from seqloom.plain_yaml import read, read_text
from seqloom.settings import Faults, Settings, check
from seqloom.sharding.settings import ShardSettings, WorkerSettings
from seqloom.synthesis.plan import check_synthesis
from seqloom.synthesis.settings import SynthesisSettings
from seqloom.text import FORMS, STANDARD, Forms, check_pattern
from seqloom.tokenization.settings import TokenizerSettings
from seqloom.tracking.client.settings import RegisterSettings
from seqloom.training.settings import TrainSettings

PARAMS_FILE = Path("params.yaml")
Record = TypeVar("Record", bound=Settings)
_MOST_FAULTS = 100
_LONGEST_VALUE = 80  # characters of a value in a message


class Purpose(Settings):
    """The sections that name the model in the registry. The other sections are ignored and may be invalid."""

    model_config = ConfigDict(extra="ignore")

    task: Task
    languages: Languages
    register_: RegisterSettings = Field(alias="register")


class PlaceholderSettings(Settings):
    """What counts as a placeholder, in cleaning, translation and scoring."""

    forms: list[str] = Field(default_factory=lambda: list(STANDARD))  # names of `seqloom.text.FORMS`
    patterns: list[str] = Field(default_factory=list)  # your own regular expressions; they precede the forms

    @check
    def _known(self) -> Faults:
        for name in self.forms:
            if name not in FORMS:
                yield "forms", f"{name!r} is not a form of placeholder; valid are {', '.join(FORMS)}"

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
    """All of params.yaml, one field per section."""

    task: Task  # what the model is for; it determines the metrics
    languages: Languages
    corpora: dict[Name, Source] = Field(min_length=1, max_length=1000)
    monolingual: dict[Name, MonolingualSource] = Field(default_factory=dict, max_length=1000)
    placeholders: PlaceholderSettings = Field(default_factory=PlaceholderSettings)
    # Synthetic training pairs by name; see docs/SYNTHETIC.md.
    translate_corpus: dict[Name, SynthesisSettings] = Field(default={}, max_length=100)
    prepare: PrepareSettings
    score_corpus: ScoreSettings = Field(default_factory=ScoreSettings)
    tokenizer: TokenizerSettings
    model: ModelSettings
    train: TrainSettings
    search: SearchSettings
    evaluate: EvaluateSettings
    export: ExportSettings = Field(default_factory=ExportSettings)
    guard: GuardSettings
    gate: GateSettings
    register_: RegisterSettings = Field(alias="register")
    shards: ShardSettings = Field(default_factory=ShardSettings)
    workers: WorkerSettings = Field(default_factory=WorkerSettings)

    @check
    def _one_vocabulary(self) -> Faults:
        if self._is_own and self.model.tied_embeddings == "all" and not self.tokenizer.joint:
            yield "model.tied_embeddings", "is 'all', which needs tokenizer.joint: true (or use 'target')"

    @check
    def _search_there_is(self) -> Faults:
        if self._is_own and self.search.method == "generate":
            yield "search.method", "is 'generate', which needs model.name: pretrained; use beam"

    @check
    def _directions_for_the_model(self) -> Faults:
        if not self._is_own and len(self.languages.directions) > 1:
            yield "languages", "lists several directions, but model.name is 'pretrained', which supports only one"

    @check
    def _directions_for_the_task(self) -> Faults:
        (one, *_) = self.languages.directions
        if self.task == "translation" and one.source == one.target:
            yield "languages.target", f"task is 'translation', but languages has {one.source!r} on both sides"

    @check
    def _one_start(self) -> Faults:
        if self.train.start is not None:
            for side in self.model.embeddings.files:
                yield f"model.embeddings.{side}", "must be null if train.start is set: that model has its embeddings"

    @check
    def _corpora_for_the_languages(self) -> Faults:
        for field, message in check_corpora(self.corpora, self.languages):
            yield f"corpora.{field}", message
        for field, message in check_monolingual(self.monolingual, self.corpora, self.languages):
            yield f"monolingual.{field}", message

    @check
    def _synthetic_corpora(self) -> Faults:
        for field, message in check_synthesis(self.translate_corpus, self.languages, self.corpora, self.monolingual):
            yield f"translate_corpus.{field}", message

    @check
    def _room_for_languages(self) -> Faults:
        languages = len(self.languages.target_languages)
        size, taken = self.tokenizer.vocab_size, self.tokenizer.reserved_pieces(languages)
        if self._is_own and self.tokenizer.reserved_pieces(1) < size <= taken:
            yield (
                "tokenizer.vocab_size",
                f"is {size}, too small for {languages} target languages: {taken} pieces are reserved; use more",
            )

    @check
    def _splits_to_draw(self) -> Faults:
        alpha = self.train.subword_sampling
        if alpha is None:
            return
        if not self._is_own:
            yield "train.subword_sampling", "must be null: a pretrained model's tokenizer splits a word in only one way"
        elif self.tokenizer.name == "characters":
            yield "train.subword_sampling", "must be null: tokenizer.name 'characters' splits a word in only one way"
        elif self.tokenizer.algorithm == "bpe" and alpha >= 1:
            yield "train.subword_sampling", f"is {alpha:g}; for bpe, the share of merges to drop, it must be below 1"

    @property
    def _is_own(self) -> bool:
        """Whether seqloom builds the network and the vocabulary, rather than loading a pretrained model."""
        return self.model.name != "pretrained"


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and validate the params file.

    Raises:
        ParamsError: the file is not valid; for every fault, the message gives file, line, field and what is valid.
    """
    return parse_params(_text(path), str(path))


def load_purpose(path: Path = PARAMS_FILE) -> Purpose:
    """Read and validate only the sections task, languages and register. Raises `ParamsError`."""
    return _parse(Purpose, _text(path), str(path))


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except OSError as error:
        raise ParamsError(f"{path}: cannot be read: {error.strerror or error}") from error


def parse_params(text: str, name: str = str(PARAMS_FILE)) -> Params:
    """Read and validate params given as YAML text; errors refer to it as `name`. Raises `ParamsError`."""
    return _parse(Params, text, name)


def _parse(record: type[Record], text: str, name: str) -> Record:
    tree, content = read(text, name)
    if not isinstance(content, dict):
        raise ParamsError(f"{name}: must have the sections {', '.join(_sections())}")
    try:
        return record.model_validate(content)
    except ValidationError as error:
        found = error.errors()
        faults = sorted(_fault(tree, content, fault) for fault in found[:_MOST_FAULTS])
        lines = [f"{name}: line {line}: {message}" for line, message in faults]
        if len(found) > len(faults):
            lines.append(f"{name}: {len(found) - len(faults):,} more errors are not shown")
        raise ParamsError("\n".join(lines)) from error


def _sections() -> Iterator[str]:
    return (field.alias or name for name, field in Params.model_fields.items())


def _fault(tree: yaml.Node | None, content: Any, fault: Any) -> tuple[int, str]:
    """Return the line of a fault, and its message `field: what is wrong; what is valid`."""
    path, line = [], 1
    node, value = tree, content
    location = list(fault["loc"])
    if location[:1] in (["corpora"], ["monolingual"]) and len(location) > 3:
        del location[2]  # pydantic inserts the branch of the union, which is not in the file
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
    field = ".".join(path) or "the file"
    match fault["type"]:
        case "missing":
            message = "is missing"
        case "extra_forbidden":
            message = "is not a setting" + _neighbours(fault["loc"])
        case "value_error":
            message = str(fault["ctx"]["error"])
        case _:
            message = f"{fault['msg'][0].lower()}{fault['msg'][1:]}"
            if not isinstance(value, dict):
                message += f", got {_shown(value)}"
    return line, f"{field}: {message}"


def _shown(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_VALUE else f"{shown[: _LONGEST_VALUE - 3]}..."


def settings_in(*section: str) -> dict[str, FieldInfo]:
    """Return the settings in a section, by their names in params.yaml; empty if it is not a section.

    Without arguments, return the sections. Members of `corpora` and the like, named by the user, are not listed.
    """
    record: Any = Params
    for part in section:
        fields = {field.alias or name: field for name, field in getattr(record, "model_fields", {}).items()}
        record = fields[part].annotation if part in fields else None
    return {field.alias or name: field for name, field in getattr(record, "model_fields", {}).items()}


def _neighbours(location: tuple[Any, ...]) -> str:
    """Suggest valid names for an unknown one: the most similar name, or all names in its section."""
    valid = list(settings_in(*location[:-1]))
    if not valid:
        return ""
    close = difflib.get_close_matches(str(location[-1])[:_LONGEST_VALUE], valid, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; valid are {', '.join(valid)}"
