"""`seqloom set`: change settings of params.yaml."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from seqloom.cli.model_names import PARAMS
from seqloom.errors import ParamsError

NAME = "set"
HELP = "change settings of params.yaml"
DESCRIPTION = """\
Change settings of params.yaml, keeping its comments, and print the changes. Values are written as in the file. If one
setting is invalid, none is changed. With --check, nothing is written.
"""
EPILOG = """\
examples:
  seqloom set train.lr=3e-4 train.max_steps=5000
  seqloom set 'languages.target=[de, fr]' train.ema_decay=null
  seqloom set --corpora home_assistant             train only on this corpus of params.yaml
  seqloom set --check train.max_steps=50           check what `dvc exp run -S train.max_steps=50` would set
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    parser.add_argument("settings", metavar="KEY=VALUE", nargs="*", help="a setting's dotted name and its new value")
    parser.add_argument("--check", action="store_true", help="print what would change or what is wrong; write nothing")
    parser.add_argument("--corpora", metavar="NAME,NAME", help="remove all other corpora from params.yaml")


def run(options: argparse.Namespace) -> None:
    """Change params.yaml, or raise `ParamsError` that lists every fault."""
    from seqloom.editing import Change, change, keep_corpora, parse_value, replace
    from seqloom.plain_yaml import read_text

    if not options.settings and options.corpora is None:
        options.usage_error("give the settings to change as KEY=VALUE, or use --corpora")
    wanted: dict[str, Any] = {}
    faults: list[str] = []
    for setting in options.settings:
        key, equals, value = setting.partition("=")
        if not key or not equals:
            faults.append(f"{setting!r}: write a setting as KEY=VALUE, such as train.lr=3e-4")
        elif key in wanted:
            faults.append(f"{key} is given twice")
        else:
            with _collecting(faults):
                wanted[key] = parse_value(value, key)
    before = text = read_text(PARAMS)
    changes: list[Change] = []
    if options.corpora is not None:
        with _collecting(faults):
            text, changes = keep_corpora(text, [name.strip() for name in options.corpora.split(",") if name.strip()])
    if wanted:
        with _collecting(faults):
            text, more = change(text, wanted)
            changes += more
    if faults:
        raise ParamsError("\n".join(faults))
    if text != before and not options.check:
        replace(PARAMS, text)
    print("\n".join(map(str, changes)) or f"{PARAMS} already has only these corpora")


@contextmanager
def _collecting(faults: list[str]) -> Iterator[None]:
    try:
        yield
    except ParamsError as fault:
        faults.append(str(fault))
