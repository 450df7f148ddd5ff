import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from seqloom.errors import HashError, SourceError
from seqloom.params import load_params
from seqloom.places import RAW
from seqloom.progress import ignore
from seqloom.stages import download_corpus

PARAMS = Path(__file__).parents[2] / "params.yaml"
WHEEL = "words-1.0-py3-none-any.whl"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project and a mirror with a wheel."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "data/local").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "mirror" / WHEEL, "w") as wheel:
        wheel.writestr("w/g/en.json", '{"a": "one"}')
    monkeypatch.setenv("SEQLOOM_MIRROR", str(tmp_path / "mirror"))
    return tmp_path


def params(languages=None, **corpora):
    given = load_params(PARAMS).model_dump(by_alias=True, mode="python")
    given["languages"] |= languages or {}
    return load_params(PARAMS).__class__.model_validate({**given, "corpora": corpora})


def wheel(project, **more):
    sha256 = hashlib.sha256((project / "mirror" / WHEEL).read_bytes()).hexdigest()
    source = {"kind": "package", "package": "words", "version": "1.0", "sha256": sha256}
    return {**source, "format": "json_catalogue", "members": "w/{group}/{lang}.json", **more}


MINE = {"kind": "file", "path": "data/local/p.{lang}", "format": "moses"}


def lying():
    return sorted(path.relative_to(RAW).as_posix() for path in RAW.rglob("*") if path.is_file())


def test_corpora_are_stored_unchanged_with_a_manifest(project):
    for language, text in (("en", "one\n"), ("de", "eins\n")):
        (project / f"data/local/p.{language}").write_text(text)
    download_corpus.run(params(words=wheel(project), mine=MINE), ignore)
    assert lying() == ["manifest.json", "mine/p.de", "mine/p.en", f"words/{WHEEL}"]
    manifest = json.loads((RAW / "manifest.json").read_text())
    assert list(manifest) == ["mine", "words"]
    assert manifest["mine"] == {
        "kind": "file",
        "files": [
            {"path": "mine/p.de", "sha256": hashlib.sha256(b"eins\n").hexdigest(), "bytes": 5},
            {"path": "mine/p.en", "sha256": hashlib.sha256(b"one\n").hexdigest(), "bytes": 4},
        ],
    }
    assert (RAW / "words" / WHEEL).read_bytes() == (project / "mirror" / WHEEL).read_bytes()


def test_files_of_every_language_or_of_the_given_direction_are_fetched(project):
    for language in ("en", "de", "fr", "es"):
        (project / f"data/local/p.{language}").write_text("x\n")
    one = {**MINE, "direction": {"source": "en", "target": "fr"}}
    download_corpus.run(params({"target": ["de", "fr"]}, mine=MINE, one=one), ignore)
    assert lying() == ["manifest.json", "mine/p.de", "mine/p.en", "mine/p.fr", "one/p.en", "one/p.fr"]


def test_a_second_run_gives_the_same_bytes_and_removes_dropped_corpora(project, monkeypatch):
    download_corpus.run(params(words=wheel(project), again=wheel(project)), ignore)
    before = (RAW / "manifest.json").read_bytes()
    download_corpus.run(params(again=wheel(project), words=wheel(project)), ignore)
    assert (RAW / "manifest.json").read_bytes() == before
    monkeypatch.delenv("SEQLOOM_MIRROR")  # the files in data/raw are used again
    download_corpus.run(params(words=wheel(project)), ignore)
    assert lying() == ["manifest.json", f"words/{WHEEL}"]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (lambda project: wheel(project, sha256="0" * 64), HashError),
        (lambda project: MINE, SourceError),
        (lambda project: {**MINE, "path": "data/local", "members": "{lang}"}, SourceError),
    ],
)
def test_one_bad_corpus_leaves_data_raw_as_it_was(project, bad, error):
    download_corpus.run(params(words=wheel(project)), ignore)
    before = lying()
    with pytest.raises(error):
        download_corpus.run(params(words=wheel(project), bad=bad(project)), ignore)
    assert lying() == before
    assert sorted(path.name for path in RAW.iterdir()) == ["manifest.json", "words"]


def test_an_interruption_leaves_data_raw_as_it_was(project):
    def interrupt(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download_corpus.run(params(words=wheel(project)), interrupt)
    assert list(RAW.iterdir()) == []


def test_a_git_repository_is_fetched(project):
    repository = project / "repository"
    repository.mkdir()
    for language in ("en", "de", "fr"):
        (repository / f"p.{language}").write_text("x\n")
    identity = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    for command in ("init -q", "add -A", "commit -q -m Begin", "rev-parse HEAD"):
        done = subprocess.run(
            ["git", "-C", str(repository), *command.split()],
            check=True, capture_output=True, text=True, env={**os.environ, **identity},
        )  # fmt: skip
    source = {"kind": "git", "repository": str(repository), "commit": done.stdout.strip()}
    download_corpus.run(params(theirs={**source, "format": "moses", "members": "p.{lang}"}), ignore)
    assert lying() == ["manifest.json", "theirs/p.de", "theirs/p.en"]
    assert json.loads((RAW / "manifest.json").read_text())["theirs"]["kind"] == "git"


@pytest.fixture
def opus(project, monkeypatch):
    """A server on loopback with files of OPUS, by path."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    files = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(content or b"")

        def do_HEAD(self):
            self.do_GET()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("SEQLOOM_OPUS", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("SEQLOOM_OPUS_API", f"http://127.0.0.1:{server.server_port}/api")
    yield files
    server.shutdown()
    thread.join()
    server.server_close()


def packed():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for language in ("de", "en"):
            archive.writestr(f"x.de-en.{language}", "x\n")
    return stream.getvalue()


def corpus(name, **more):
    return {"kind": "opus", "corpus": name, "release": "v1", **more}


def test_monolingual_corpora_are_fetched_too(project, opus):
    opus["/OPUS-A/v1/mono/de.txt.gz"] = gzip.compress(b"eins\n")
    given = params(words=wheel(project)).model_dump(by_alias=True, mode="python")
    given["monolingual"] = {"texts": corpus("A", language="de")}
    download_corpus.run(load_params(PARAMS).__class__.model_validate(given), ignore)
    assert lying() == ["manifest.json", "texts/de.txt.gz", f"words/{WHEEL}"]


def test_the_number_of_downloads_changes_no_byte_and_the_total_is_that_of_all(project, opus, monkeypatch):
    for name in "abcd":
        opus[f"/OPUS-{name}/v1/moses/de-en.txt.zip"] = packed()
    written = []
    for parallel in ("1", "4"):
        monkeypatch.setenv("SEQLOOM_DOWNLOADS", parallel)
        reports = []
        download_corpus.run(params(**{name: corpus(name) for name in "abcd"}), reports.append)
        (last,) = [report for report in reports if report.task == "download"][-1:]
        assert (last.done, last.total, last.note) == (4 * len(packed()), 4 * len(packed()), "4 of 4 files")
        written.append(((RAW / "manifest.json").read_bytes(), Path("data/sources.lock.json").read_bytes()))
        shutil.rmtree("scratch")
        shutil.rmtree(RAW)
    assert written[0] == written[1]


def test_an_error_of_one_corpus_keeps_the_files_of_the_others_in_the_cache(project, opus):
    for name in "ab":
        opus[f"/OPUS-{name}/v1/moses/de-en.txt.zip"] = packed()
    corpora = {"bad": corpus("missing"), "a": corpus("a"), "b": corpus("b")}
    with pytest.raises(SourceError, match=r"^bad: .*OPUS-missing.*status 404"):
        download_corpus.run(params(**corpora), ignore)
    assert len(list(Path("scratch/downloads").rglob("*.zip"))) == 2
    assert list(RAW.iterdir()) == []
    opus.clear()
    download_corpus.run(params(a=corpora["a"], b=corpora["b"]), ignore)
    assert lying() == ["a/de-en.de", "a/de-en.en", "b/de-en.de", "b/de-en.en", "manifest.json"]
