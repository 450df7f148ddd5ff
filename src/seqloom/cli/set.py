"""`seqloom set`: change settings of params.yaml by their dotted names."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from seqloom.cli.naming import PARAMS
from seqloom.errors import ParamsError

NAME = "set"
HELP = "change settings of params.yaml"
DESCRIPTION = """\
Change settings of params.yaml, its comments kept, and print what changed. A value is written as in the file. All is
checked before anything is written: one wrong setting changes none. With --check nothing is written in any case.
"""
EPILOG = """\
examples:
  seqloom set train.lr=3e-4 train.max_steps=5000
  seqloom set 'languages.target=[de, fr]' train.ema_decay=null
  seqloom set --corpora home_assistant             train on this one of the corpora of params.yaml alone
  seqloom set --check train.max_steps=50           what `dvc exp run -S train.max_steps=50` would stop at
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("settings", metavar="KEY=VALUE", nargs="*", help="a setting by its dotted name, and its value")
    parser.add_argument("--check", action="store_true", help="say what would change, or what is wrong; write nothing")
    parser.add_argument("--corpora", metavar="NAME,NAME", help="take the other corpora out of params.yaml")


def run(options: argparse.Namespace) -> None:
    """Change params.yaml, or raise `ParamsError` that tells every fault."""
    from seqloom.editing import Change, change, keep_corpora, parse_value
    from seqloom.files import write_text
    from seqloom.plain_yaml import read_text

    if not options.settings and options.corpora is None:
        options.misused("say what to change, as KEY=VALUE or with --corpora")
    wanted: dict[str, Any] = {}
    faults: list[str] = []
    for setting in options.settings:
        key, equals, value = setting.partition("=")
        if not key or not equals:
            faults.append(f"{setting!r}: write a setting as KEY=VALUE, such as train.lr=3e-4")
        elif key in wanted:
            faults.append(f"{key} is set twice")
        else:
            with _noted(faults):
                wanted[key] = parse_value(value, key)
    before = text = read_text(PARAMS)
    changes: list[Change] = []
    if options.corpora is not None:
        with _noted(faults):
            text, changes = keep_corpora(text, [name.strip() for name in options.corpora.split(",") if name.strip()])
    if wanted:
        with _noted(faults):
            text, more = change(text, wanted)
            changes += more
    if faults:
        raise ParamsError("\n".join(faults))
    if text != before and not options.check:
        write_text(PARAMS, text)
    print("\n".join(map(str, changes)) or f"{PARAMS} has these corpora alone already")


@contextmanager
def _noted(faults: list[str]) -> Iterator[None]:
    try:
        yield
    except ParamsError as fault:
        faults.append(str(fault))
