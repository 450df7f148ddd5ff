"""`seqloom serve`: translate over HTTP with the champion of one or several models."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqloom.cli.model_names import default_model
from seqloom.errors import ParamsError
from seqloom.places import LOCAL
from seqloom.printable import printable

if TYPE_CHECKING:
    from seqloom.serving.releases import ModelSource
    from seqloom.serving.server import Serving
    from seqloom.serving.service import Served
    from seqloom.serving.settings import ServingSettings

NAME = "serve"
HELP = "translate over HTTP with the API of LibreTranslate"
DESCRIPTION = """\
Translate over HTTP with the champion of one or several registered models, or with model folders. Clients of
LibreTranslate, such as Weblate, can use the server. When another version becomes champion, the server loads it and
changes to it without a pause. docs/SERVING.md explains the API, the metrics and how to run it for others.
"""
EPILOG = """\
examples:
  seqloom serve                                      the champion of the model in params.yaml, on this machine only
  seqloom serve --model seqloom-en-de --model seqloom-en-fr
  seqloom serve --folder models/candidate            the last trained model
  seqloom serve --host 0.0.0.0 --allow-host mt.example.org --keys keys.txt

A key file has the SHA-256 of one key per line; `#` begins a comment. The variable SEQLOOM_KEYS may hold hashes, too.
"""

# Option, its setting in `ServingSettings`, its type and its help text.
_OPTIONS: tuple[tuple[str, str, type[str] | type[int] | type[float], str], ...] = (
    ("--host", "host", str, "the address to listen on (default: 127.0.0.1)"),
    ("--port", "port", int, "the port to listen on; 0 takes any free one (default: 8080)"),
    ("--key-rate", "key_rate", int, "requests per minute of one key (default: unlimited)"),
    ("--address-rate", "address_rate", int, "requests per minute of one address (default: unlimited)"),
    ("--characters", "characters", int, "the most characters of a request (default: 20000)"),
    ("--texts", "texts", int, "the most texts of a request (default: 1000)"),
    ("--alternatives", "alternatives", int, "the most additional translations of a text (default: 5)"),
    ("--wait", "wait_ms", float, "milliseconds that a text waits for others while the model is idle (default: 5)"),
    ("--batch", "batch_characters", int, "characters that are translated together (default: 4000)"),
    ("--queue", "queue_characters", int, "characters that may wait; beyond, status 429 (default: 400000)"),
    ("--drift-bound", "drift_bound", float, "population stability index above which texts drift (default: 0.25)"),
    ("--drift-minutes", "drift_minutes", float, "minutes of drift until it is announced (default: 60)"),
    ("--workers", "workers", int, "processes that translate with each model on the CPU (default: the server itself)"),
    ("--drain", "drain_seconds", int, "seconds that requests may take to end after SIGTERM (default: 30)"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    add = parser.add_argument
    add("--model", metavar="NAME", action="append", default=[], help="serve the champion of a registered model")
    add("--folder", metavar="DIR", action="append", default=[], type=Path, help="serve a model folder")
    add("--pin", metavar="VERSION", help="serve this version of the model, not the champion")
    help_text = "let another version translate a share of the requests, too, and compare: 7, or 7:10%% (default: all)"
    add("--shadow", metavar="VERSION", type=_second, help=help_text)
    add("--canary", metavar="VERSION:SHARE", type=_second, help="let another version answer a share of them: 7:5%%")
    add("--device", metavar="DEVICE", default="auto", help="auto, cpu or cuda (default: auto)")
    for option, setting, kind, help_text in _OPTIONS:
        add(option, dest=setting, type=kind, metavar=option.rpartition("-")[2].upper(), help=help_text)
    add("--allow-host", metavar="NAME", action="append", default=[], help="a name of this server, or * for any")
    add("--origin", metavar="URL", action="append", default=[], help="let pages of this origin use the API (CORS)")
    add("--keys", metavar="FILE", type=Path, help="require an API key; FILE has their hashes")
    add("--no-keys", action="store_true", help="admit everybody, even on a host that others can reach")
    add("--new-key", action="store_true", help="print a new key and its hash, and exit")
    help_text = "accept suggestions (/suggest), and append them to tables in DIR (default: data/local/corrections)"
    add("--corrections", metavar="DIR", type=Path, nargs="?", const=LOCAL / "corrections", help=help_text)
    help_text = "announce drift to the Prefect API at URL (default: PREFECT_API_URL, else that of make schedule)"
    add("--events", metavar="URL", nargs="?", const="", help=help_text)
    add("--log-texts", action="store_true", help="write texts and translations into the log")


def run(options: argparse.Namespace) -> None:
    """Load the models and serve until the process is told to end."""
    _check_installed()
    from seqloom.serving.access import hash_key, new_key

    if options.new_key:
        key = new_key()
        print(f"key, for the client: {key}\nhash, for the key file: {hash_key(key)}")
        return
    settings = _settings(options)
    _check_reach(settings, options)
    serving = _serving(options)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("seqloom.serving").setLevel(logging.INFO)
    from seqloom.serving.server import serve

    serve(serving, settings, _announce)


def _check_installed() -> None:
    for library in ("fastapi", "multipart", "prometheus_client", "py3langid", "uvicorn"):
        if find_spec(library) is None:
            raise ParamsError(f"the server needs {library}, which is not installed: pip install 'seqloom[serve]'")


def _announce(url: str, served: "Sequence[Served]") -> None:
    for each in served:
        print(f"{printable(each.version)}: {', '.join(map(str, each.directions))}")
    print(f"Serving at {url}; Ctrl-C stops it.", flush=True)


def _settings(options: argparse.Namespace) -> "ServingSettings":
    from pydantic import ValidationError

    from seqloom.serving.access import read_keys
    from seqloom.serving.settings import ServingSettings

    given: dict[str, Any] = {
        setting: value for _, setting, _, _ in _OPTIONS if (value := getattr(options, setting)) is not None
    }
    given["keys"] = read_keys(options.keys, os.environ)
    if options.keys and not given["keys"]:
        raise ParamsError(f"{options.keys}: has no keys; `seqloom serve --new-key` makes one")
    given["origins"], given["log_texts"] = tuple(options.origin), options.log_texts
    given["corrections"], given["events"] = options.corrections, _events(options.events)
    names = (str(given.get("host", "")), *options.allow_host)
    given["allowed_hosts"] = tuple(
        dict.fromkeys([*ServingSettings().allowed_hosts, *(name.lower() for name in names if name)])
    )
    try:
        return ServingSettings.model_validate(given)
    except ValidationError as error:
        fault = error.errors()[0]
        option = next((option for option, setting, _, _ in _OPTIONS if (setting,) == fault["loc"]), fault["loc"])
        message = f"{option}: {fault['msg'][0].lower()}{fault['msg'][1:]}, got {fault['input']!r}"
        raise ParamsError(message) from error


def _events(url: str | None) -> str | None:
    from seqloom.serving.prefect_events import DEFAULT_URL, URL_VARIABLE

    return os.environ.get(URL_VARIABLE) or DEFAULT_URL if url == "" else url


def _check_reach(settings: "ServingSettings", options: argparse.Namespace) -> None:
    from seqloom.serving.server import is_loopback

    if not is_loopback(settings.host) and not settings.keys and not options.no_keys:
        raise ParamsError(
            f"--host {settings.host}: other machines could use the server without a key; set keys with --keys, or "
            "admit everybody with --no-keys"
        )


def _second(text: str) -> tuple[str, float]:
    """Read `7` or `7:5%`: a version, and a share from 0 to 1."""
    number, _, share = text.partition(":")
    try:
        percent = float(share.removesuffix("%")) if share else 100.0
    except ValueError:
        percent = 0.0
    if not (number.isascii() and number.isdigit()) or not 0 < percent <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not VERSION or VERSION:SHARE, such as 7 or 7:5%")
    return number, percent / 100


def _serving(options: argparse.Namespace) -> "Serving":
    from seqloom.serving.companion import Role
    from seqloom.serving.releases import FolderSource, RegisteredSource
    from seqloom.serving.server import Second, Serving

    names = options.model or ([] if options.folder else [default_model()])
    if options.pin is not None and (len(names) != 1 or options.folder):
        raise ParamsError("--pin needs exactly one registered model")
    if options.pin is not None and not (options.pin.isascii() and options.pin.isdigit()):
        raise ParamsError(f"--pin {options.pin}: is not the number of a version; `seqloom info` lists them")
    if options.workers and options.device not in ("auto", "cpu"):
        raise ParamsError(f"--workers translate on the CPU, not on --device {options.device}; leave one of them out")
    role, chosen = (Role.CANARY, options.canary) if options.canary else (Role.SHADOW, options.shadow)
    if options.canary and options.shadow:
        raise ParamsError("--canary and --shadow exclude each other; start a server for each")
    if chosen is not None and len(names) != 1:
        raise ParamsError(f"--{role} needs exactly one registered model")
    sources: list[ModelSource] = [
        *(RegisteredSource(name, options.pin) for name in names),
        *(FolderSource(folder) for folder in options.folder),
    ]
    if chosen is None:
        return Serving(sources, options.device)
    number, share = chosen
    second = Second(names[0], RegisteredSource(names[0], number, role), role, share)
    return Serving(sources, options.device, second)
