"""`seqloom preset`: change params.yaml for a task, a corpus or a recipe."""

import argparse

from seqloom.cli.naming import PARAMS
from seqloom.errors import ParamsError

NAME = "preset"
HELP = "change params.yaml for a task, a corpus or a recipe"
DESCRIPTION = """\
Merge presets into params.yaml, its comments kept, or list those there are. `git diff params.yaml` shows what changed,
and `git checkout params.yaml` takes it back.
"""
EPILOG = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="presets, the later over the earlier; none lists them")


def run(options: argparse.Namespace) -> None:
    """Merge the named presets, or list all of them."""
    from seqloom.presets import FOLDER, find, merge, presets

    if not options.names:
        found = presets()
        if not found:
            raise ParamsError(f"there is no folder {FOLDER} with presets here; run this in a clone of seqloom")
        width = max(len(preset.name) for preset in found)
        print("\n".join(f"{preset.name:<{width}}  {preset.purpose}" for preset in found))
        return
    text = PARAMS.read_text(encoding="utf-8")
    for name in options.names:
        text = merge(text, find(name))
    beside = PARAMS.with_name(f".{PARAMS.name}.part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(PARAMS)
    print(f"{PARAMS} now has {', '.join(options.names)}; `git diff {PARAMS}` shows what changed")
