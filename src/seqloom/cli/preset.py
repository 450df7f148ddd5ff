"""`seqloom preset`: change params.yaml for a task, a corpus or a recipe."""

import argparse
from pathlib import Path

from seqloom.cli.model_names import PARAMS
from seqloom.errors import ParamsError
from seqloom.table import table

NAME = "preset"
HELP = "change params.yaml for a task, a corpus or a recipe"
DESCRIPTION = """\
Merge presets into params.yaml, keeping its comments, or list the presets. A name that ends in .yaml is a file, such as
the best.yaml of a sweep. `git diff params.yaml` shows the changes; `git checkout params.yaml` reverts them.
"""
EPILOG = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    parser.add_argument("--all", action="store_true", help="print params.yaml with every setting, and write nothing")
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help="presets or files; later ones take precedence (default: list presets)"
    )


def run(options: argparse.Namespace) -> None:
    """Merge the named presets, or list all presets."""
    from seqloom.editing import whole
    from seqloom.files import write_text
    from seqloom.params import parse_params
    from seqloom.plain_yaml import read_text
    from seqloom.presets import FOLDER, Preset, find, merge, presets

    if not options.names and not options.all:
        found = presets()
        if not found:
            raise ParamsError(f"there is no folder {FOLDER} here; run this in a clone of seqloom")
        print("\n".join(table([(preset.name, preset.purpose) for preset in found])))
        return
    text = read_text(PARAMS)
    for name in options.names:
        path = Path(name)
        given = path.suffix in (".yaml", ".yml")
        text = merge(text, Preset(name, "", read_text(path)) if given else find(name))
    if options.all:
        print(whole(parse_params(text, str(PARAMS))), end="")
        return
    write_text(PARAMS, text)
    print(f"{PARAMS} now has {', '.join(options.names)}; `git diff {PARAMS}` shows what changed")
