"""dvc.yaml is correct: one name everywhere, and each stage depends on what it imports and reads."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from seqloom import places
from seqloom.import_closure import closure, imports
from seqloom.params import Params, settings_in
from seqloom.stages.__main__ import STAGES as RUNNABLE

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "seqloom"
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
DOORS = {"__init__", "__main__", "console", "places", "restore"}  # modules of src/seqloom/stages that are not stages


def needed(stage: str) -> set[Path]:
    """Return the files of the package that a stage's module needs."""
    return set(closure(f"seqloom.stages.{stage}", PACKAGE).values())


def own(stage: str) -> set[Path]:
    """Return the module of a stage, and the modules of `stages/` that it imports."""
    return {file for file in needed(stage) if file.is_relative_to(PACKAGE / "stages")}


def listed(stage: str, *keys: str) -> list[str]:
    """Return the paths under some keys of a stage, without their options."""
    entries: list[Any] = [entry for key in keys for entry in STAGES[stage].get(key, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def attributes(path: Path, name: str) -> set[str]:
    """Return the dotted attributes of a name in a file, such as `train.seed` and `model` for `params`."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    found = set()
    for node in nodes:
        dotted: list[str] = []
        outermost = id(node) not in inner
        while isinstance(node, ast.Attribute):
            dotted.insert(0, node.attr)
            node = node.value
        if outermost and dotted and isinstance(node, ast.Name) and node.id == name:
            found.add(".".join(dotted))
    return found


def places_named(path: Path) -> set[str]:
    """Return the constants of places.py that a file uses, imported one by one or as a module."""
    taken = {name.split(".")[0] for name in attributes(path, "places")}
    door = "seqloom.places."
    taken |= {name.removeprefix(door) for name in imports(path) if name.startswith(door)}
    return {name for name in taken if name.isupper()}


def place_paths() -> dict[str, str]:
    return {name: path.as_posix() for name, path in vars(places).items() if isinstance(path, Path)}


def test_one_name_everywhere() -> None:
    modules = {path.stem for path in (PACKAGE / "stages").glob("*.py")} - DOORS
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests" / "stages").glob("test_*.py")} - DOORS
    assert set(STAGES) == modules
    assert set(STAGES) <= tests


@pytest.mark.parametrize("stage", STAGES)
def test_the_command_is_the_module(stage: str) -> None:
    assert STAGES[stage]["cmd"] == f"sh pipelines/stage.sh {stage}"
    assert stage in RUNNABLE


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_yaml_lists_exactly_the_code_that_a_stage_needs(stage: str) -> None:
    files = needed(stage)
    watched = [ROOT / path for path in listed(stage, "deps") if path.startswith("src/")]
    unwatched = {file for file in files if not any(file.is_relative_to(path) for path in watched)}
    assert not unwatched, "dvc.yaml does not watch it"
    idle = {path for path in watched if not any(file.is_relative_to(path) for file in files)}
    assert not idle, "dvc.yaml watches what the stage does not import"


@pytest.mark.parametrize("stage", STAGES)
def test_places_that_a_stage_names_are_its_deps_or_its_outs(stage: str) -> None:
    paths = place_paths()
    unlisted = {"SCRATCH", "SOURCES_LOCK", "GATE", "SHADOW", "HYPOTHESES"}
    named = {paths[name] for file in own(stage) for name in places_named(file) - unlisted}
    data = {path for path in listed(stage, "deps", "outs", "metrics", "plots") if not path.startswith("src/")}
    # The files in data/local are named in params.yaml, which check_params reads in full; others only depend on it.
    unnamed = {paths["LOCAL"], "params.yaml", *listed("check_params", "outs")}
    assert named - unnamed == data - unnamed
    assert (paths["LOCAL"] in data) == stage.startswith(("check_", "download_", "translate_", "score_"))
    assert ("params.yaml" in data) == (stage == "check_params")


def test_a_wrong_params_file_stops_before_dvc_deletes_any_result() -> None:
    writers = {path: stage for stage in STAGES for path in listed(stage, "outs", "metrics", "plots")}

    def upstream(stage: str) -> set[str]:
        needed = {writers[path] for path in listed(stage, "deps") if path in writers}
        return needed.union(*map(upstream, needed))

    assert all("check_params" in upstream(stage) for stage in STAGES if stage != "check_params")


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_yaml_lists_exactly_the_params_that_a_stage_reads(stage: str) -> None:
    if "params.yaml" in listed(stage, "deps"):  # the stage depends on all of them
        assert "params" not in STAGES[stage]
        return
    fields = {"register_": "register"}
    used = {tuple(name.split(".")) for file in own(stage) for name in attributes(file, "params")}
    if any(name[0] == "model_dump" for name in used):  # the stage reads all of them
        sections = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        assert set(STAGES[stage]["params"]) == set(sections) - {"guard"}  # only a command reads it, between stages
        return
    watched = {tuple(name.split(".")) for name in STAGES[stage]["params"]}
    read = {(fields.get(name[0], name[0]), *name[1:]) for name in used if name[0] != "workers"}  # affect no result
    assert not {name for name in read if not any(name[: len(one)] == one for one in watched)}, "not watched"
    assert not {one for one in watched if not any(name[: len(one)] == one for name in read)}, "not read"


def test_each_place_is_written_by_exactly_one_stage() -> None:
    written = [path for stage in STAGES for path in listed(stage, "outs", "metrics", "plots")]
    paths = place_paths()
    others = {"LOCAL", "SOURCES_LOCK", "HYPOTHESES", "GATE", "SHADOW", "LEADERBOARD", "SCRATCH", "LOGS", "FLOW_LOCK"}
    assert sorted(written) == sorted(path for name, path in paths.items() if name not in others)


def test_packages_contain_only_a_docstring() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert ast.get_docstring(ast.Module(body, [])), path
        assert all(isinstance(node, ast.Expr | ast.Assign) for node in body), path


def test_results_that_depend_on_time_are_not_cached() -> None:
    for stage in STAGES:
        for key in ("metrics", "plots"):
            for entry in STAGES[stage].get(key, []):
                assert next(iter(entry.values()))["cache"] is False


def test_the_readers_of_all_formats_are_watched_although_they_are_only_named() -> None:
    watched = [ROOT / path for path in listed("prepare_corpus", "deps") if path.startswith("src/")]
    readers = [f"seqloom.formats.{path.stem}" for path in (PACKAGE / "formats").glob("[a-z]*.py")]
    files = {file for reader in readers for file in closure(reader, PACKAGE).values()}
    assert not {file for file in files if not any(file.is_relative_to(path) for path in watched)}


def test_a_stage_watches_the_defaults_of_the_settings_that_it_reads() -> None:
    written = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))

    def defaults(section: list[str], content: Any) -> Iterator[Path]:
        """Yield the modules of the records whose defaults are used if params.yaml omits settings."""
        for name in settings_in(*section):
            if name in (content or {}):
                yield from defaults([*section, name], content[name])
            else:
                yield module_of(section)

    def module_of(section: list[str]) -> Path:
        record = Params if not section else settings_in(*section[:-1])[section[-1]].annotation
        return ROOT / "src" / Path(*record.__module__.split(".")).with_suffix(".py")

    # check_params depends on the file; register_model records the settings of stages that ran before it.
    for stage in set(STAGES) - {"check_params", "register_model"}:
        watched = [ROOT / path for path in listed(stage, "deps") if path.startswith("src/")]
        for name in STAGES[stage]["params"]:
            *above, last = name.split(".")
            content = written
            for part in above:
                content = content[part]
            for module in defaults([*above, last], content[last]):
                assert module.name == "params.py" or any(module.is_relative_to(path) for path in watched), (stage, name)
