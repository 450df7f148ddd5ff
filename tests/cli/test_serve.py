from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqloom.cli import main as cli
from seqloom.languages import Direction
from seqloom.serving.access import hash_key
from seqloom.serving.releases import FolderSource
from seqloom.serving.server import Serving
from seqloom.serving.service import Served
from seqloom.serving.settings import ServingSettings

Fails = Callable[..., str]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Serving, ServingSettings]]:
    """Record what the command would serve; `ready` is called as if it did."""
    found: list[tuple[Serving, ServingSettings]] = []

    def serve(serving: Serving, settings: ServingSettings, ready: Any) -> None:
        found.append((serving, settings))
        ready("http://127.0.0.1:1", [Served("m", "m/1", (Direction("en", "de"),), {}, "now")])

    monkeypatch.setattr("seqloom.serving.server.serve", serve)
    monkeypatch.delenv("SEQLOOM_KEYS", raising=False)
    return found


def test_the_default_is_the_champion_of_params_yaml_on_this_machine(
    workspace: Path, served: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["serve"])
    ((serving, settings),) = served
    (source,) = serving.sources
    assert source.current() == "seqloom-en-de/1"
    assert (settings.host, settings.port, settings.keys) == ("127.0.0.1", 8080, ())
    assert capsys.readouterr().out == "m/1: en-de\nServing at http://127.0.0.1:1; Ctrl-C stops it.\n"


def test_a_version_can_be_pinned_and_folders_served(workspace: Path, served: list[Any]) -> None:
    cli.main(["serve", "--model", "seqloom-en-de", "--pin", "1"])
    cli.main(["serve", "--folder", "models/candidate"])
    assert served[0][0].sources[0].current() == "seqloom-en-de/1"
    assert served[1][0].sources[0].current() == "candidate"
    assert isinstance(served[1][0].sources[0], FolderSource)


def test_options_become_settings(workspace: Path, served: list[Any], tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(hash_key("k"))
    words = "serve --folder models/candidate --host 0.0.0.0 --port 0 --allow-host MT.example --origin https://a.example"
    cli.main([*words.split(), "--keys", str(keys), "--key-rate", "9", "--characters", "7", "--wait", "2.5"])
    settings = served[0][1]
    assert settings.allowed_hosts[-2:] == ("0.0.0.0", "mt.example")
    assert (settings.keys, settings.key_rate, settings.characters) == ((hash_key("k"),), 9, 7)
    assert (settings.wait_ms, settings.origins, settings.log_texts) == (2.5, ("https://a.example",), False)


def test_keys_come_from_the_environment(workspace: Path, served: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQLOOM_KEYS", hash_key("k"))
    cli.main(["serve", "--folder", "models/candidate", "--host", "0.0.0.0"])
    assert served[0][1].keys == (hash_key("k"),)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--host 0.0.0.0", "--host 0.0.0.0: other machines could use the server without a key; set keys with --keys"),
        ("--port 70000", "--port: input should be less than or equal to 65535, got 70000"),
        ("--folder nowhere", "nowhere: is not a model folder"),
        ("--pin 1 --folder models/candidate", "--pin needs exactly one registered model"),
        ("--model a --model b --pin 1", "--pin needs exactly one registered model"),
        ("--model a --model b --canary 2:5%", "--canary needs exactly one registered model"),
        ("--canary 2:5% --shadow 3", "--canary and --shadow exclude each other"),
        ("--model seqloom-en-de --pin x", "--pin x: is not the number of a version"),
    ],
)
def test_wrong_options_are_named(workspace: Path, served: list[Any], fails: Fails, words: str, message: str) -> None:
    assert message in fails("serve", *words.split())
    assert not served


def test_a_host_for_others_without_keys_must_be_wanted(workspace: Path, served: list[Any]) -> None:
    cli.main(["serve", "--folder", "models/candidate", "--host", "0.0.0.0", "--no-keys"])
    assert served[0][1].host == "0.0.0.0"


def test_a_new_key_is_printed_with_its_hash(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["serve", "--new-key"])
    key, hashed = (line.rpartition(" ")[2] for line in capsys.readouterr().out.splitlines())
    assert hash_key(key) == hashed


@pytest.mark.parametrize(
    ("words", "role", "share"),
    [("--canary 1:5%", "canary", 0.05), ("--shadow 1", "shadow", 1.0), ("--shadow 1:50", "shadow", 0.5)],
)
def test_a_second_version_gets_a_share(workspace: Path, served: list[Any], words: str, role: str, share: float) -> None:
    cli.main(["serve", *words.split()])
    second = served[0][0].second
    assert (second.model, second.role, second.share) == ("seqloom-en-de", role, share)
    assert (second.source.name, second.source.current()) == (f"seqloom-en-de {role}", "seqloom-en-de/1")


@pytest.mark.parametrize("text", ["x", "1:0", "1:101%", "1:x", ":5%"])
def test_a_share_must_be_valid(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["serve", "--canary", text])
    assert "is not VERSION or VERSION:SHARE, such as 7 or 7:5%" in capsys.readouterr().err
