"""The sources opus, huggingface and mtdata, against a server on loopback that answers in the form of the real ones."""

import gzip
import hashlib
import io
import json
import zipfile

import pyarrow
import pytest
from pyarrow import parquet
from pydantic import TypeAdapter, ValidationError

from seqloom.corpus.corpora_settings import Source, check_corpora
from seqloom.corpus.members import open_members
from seqloom.corpus.monolingual_settings import MonolingualSource
from seqloom.corpus.reading import RawPair, RawText, read_corpus, read_monolingual
from seqloom.corpus.settings import Languages
from seqloom.corpus.sources.download_cache import DownloadCache
from seqloom.corpus.sources.fetching import Fetching
from seqloom.corpus.sources.json_client import get_json
from seqloom.corpus.sources.lock import SourceLock
from seqloom.errors import ArchiveError, HashError, SourceError
from seqloom.languages import Direction
from seqloom.progress import ignore

EN_DE = Languages.model_validate({"source": "en", "target": "de"})
OPUS = {"kind": "opus", "corpus": "Books", "release": "v1"}
COMMIT = "0123456789" * 4
HUB = {
    "kind": "huggingface",
    "dataset": "org/name",
    "commit": COMMIT,
    "format": "parquet",
    "members": "de-en/*.parquet",
}
MTDATA = {"kind": "mtdata", "dataset": "Statmt-europarl-10-deu-eng"}
OBJECTS = "https://object.pouta.csc.fi/OPUS-Books/v1"


@pytest.fixture(autouse=True)
def addresses(site, monkeypatch, tmp_path):
    monkeypatch.setenv("SEQLOOM_OPUS", site.url)
    monkeypatch.setenv("SEQLOOM_OPUS_API", f"{site.url}/opusapi/")
    monkeypatch.setenv("HF_ENDPOINT", f"{site.url}/hub")
    monkeypatch.setenv("MTDATA", str(tmp_path / "mtdata"))
    monkeypatch.delenv("HF_TOKEN", raising=False)


@pytest.fixture
def cache(tmp_path):
    return DownloadCache(tmp_path / "downloads", None, (), SourceLock(tmp_path / "sources.lock.json"))


@pytest.fixture
def fetch(cache, tmp_path):
    """Fetch a source, and return its folder."""

    def run(source, kind=Source, languages=EN_DE, name="c"):
        fetching = Fetching(name, TypeAdapter(kind).validate_python(source), languages, cache)
        for job in fetching.jobs():
            job.run(ignore)
        into = tmp_path / f"raw{len(list(tmp_path.glob('raw*')))}"
        into.mkdir()
        fetching.fill(into, ignore)
        return into

    return run


def packed(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def table(columns):
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), stream)
    return stream.getvalue()


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def pairs(folder, source, direction=None):
    with open_members("c", folder) as members:
        found = list(
            read_corpus(members, TypeAdapter(Source).validate_python(source), [direction or Direction("en", "de")])
        )
    return [(each.source, each.target) for _, each in found if isinstance(each, RawPair)]


BOOKS = packed({"Books.de-en.de": "eins\n", "Books.de-en.en": "one\n", "Books.de-en.ids": "1 2\n", "LICENSE": "free"})


def test_the_texts_of_an_opus_corpus_are_fetched_under_our_names_and_its_hash_is_recorded(site, fetch, cache):
    site.files["/OPUS-Books/v1/moses/de-en.txt.zip"] = BOOKS
    folder = fetch(OPUS)
    assert names(folder) == ["de-en.de", "de-en.en", "de-en/LICENSE"]
    assert pairs(folder, OPUS) == [("one", "eins")]
    record = {"bytes": len(BOOKS), "sha256": hashlib.sha256(BOOKS).hexdigest()}
    assert json.loads(cache.lock.file.read_text())["files"] == {f"{OBJECTS}/moses/de-en.txt.zip": record}


def test_every_pair_of_languages_has_its_opus_file_and_codes_may_differ(site, fetch):
    site.files["/OPUS-Books/v1/moses/de-en.txt.zip"] = BOOKS
    chinese = packed({"Books.en-zh_CN.en": "two\n", "Books.en-zh_CN.zh_CN": "二\n"})
    site.files["/OPUS-Books/v1/moses/en-zh_CN.txt.zip"] = chinese
    source = {**OPUS, "codes": {"zh": "zh_CN"}}
    folder = fetch(source, languages=Languages.model_validate({"source": "en", "target": ["de", "zh"]}))
    assert pairs(folder, source) == [("one", "eins")]
    assert pairs(folder, source, Direction("zh", "en")) == [("二", "two")]


def test_opus_memories_and_texts_are_fetched(site, fetch):
    memory = '<tmx version="1.4"><header/><body><tu><tuv xml:lang="de"><seg>eins</seg></tuv>'
    memory += '<tuv xml:lang="en"><seg>one</seg></tuv></tu></body></tmx>'
    site.files["/OPUS-Books/v1/tmx/de-en.tmx.gz"] = gzip.compress(memory.encode())
    source = {**OPUS, "format": "tmx"}
    assert pairs(fetch(source), source) == [("one", "eins")]
    site.files["/OPUS-Books/v1/mono/de.txt.gz"] = gzip.compress(b"eins\nzwei\n")
    texts = {**OPUS, "language": "de"}
    with open_members("c", fetch(texts, MonolingualSource)) as members:
        found = list(read_monolingual(members, TypeAdapter(MonolingualSource).validate_python(texts)))
    assert found == [RawText("eins", ""), RawText("zwei", "")]


def test_changed_content_is_an_error_until_it_is_accepted(site, fetch, cache):
    site.files["/OPUS-Books/v1/moses/de-en.txt.zip"] = BOOKS
    fetch(OPUS)
    changed = packed({"Books.de-en.de": "zwei\n", "Books.de-en.en": "two\n"})
    sha256 = hashlib.sha256(changed).hexdigest()
    for path in cache.downloads.rglob("*.zip"):
        path.unlink()
    site.files["/OPUS-Books/v1/moses/de-en.txt.zip"] = changed
    with pytest.raises(HashError, match=f"has changed since it was recorded.*seqloom set 'corpora.c.sha256={sha256}'"):
        fetch(OPUS)
    requests = len(site.ranges)
    source = {**OPUS, "sha256": sha256}
    assert pairs(fetch(source), source) == [("two", "zwei")]
    assert len(site.ranges) == requests  # what was received is in the cache


def test_a_missing_release_lists_those_in_the_catalogue(site, fetch):
    entry = {
        "alignment_pairs": 1, "corpus": "Books", "documents": "", "id": 1, "latest": "True", "preprocessing": "moses",
        "size": 1, "source": "de", "source_tokens": 1, "target": "en", "target_tokens": 1, "url": "", "version": "v2",
    }  # fmt: skip
    answer = {"corpora": [{**entry, "latest": "False", "version": "v1"}, entry]}
    site.files["/opusapi/"] = json.dumps(answer).encode()
    with pytest.raises(SourceError, match=r"status 404 Not Found; for de and en, Books has the releases v2, v1"):
        fetch({**OPUS, "release": "v7"})
    site.files["/opusapi/"] = b'{"corpora": []}'
    with pytest.raises(SourceError, match=r"OPUS has no Books for de and en: .*`codes`"):
        fetch({**OPUS, "release": "v7"})
    del site.files["/opusapi/"]
    with pytest.raises(SourceError, match="status 404 Not Found; OPUS's catalogue does not answer"):
        fetch({**OPUS, "release": "v7"})


def test_an_opus_archive_without_a_language_is_an_error(site, fetch):
    site.files["/OPUS-Books/v1/moses/de-en.txt.zip"] = packed({"Books.de-en.de": "eins\n"})
    with pytest.raises(ArchiveError, match=r"has no file \*\.en; it has Books\.de-en\.de"):
        fetch(OPUS)


def hub_files(site, content=None):
    """Serve a data set with one large and one small file, as the hub lists them."""
    content = content or table({"translation": [{"de": "eins", "en": "one"}]})
    large = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    listed = [
        {"type": "directory", "oid": "a", "size": 0, "path": "de-en"},
        {"type": "file", "oid": "b", "size": len(content), "path": "de-en/train 1.parquet", "lfs": large},
        {"type": "file", "oid": "c", "size": len(content), "path": "de-en/test.parquet"},
        {"type": "file", "oid": "d", "size": 10, "path": "README.md"},
    ]
    site.files[f"/hub/api/datasets/org/name/tree/{COMMIT}"] = json.dumps(listed).encode()
    for name in ("train%201", "test"):
        site.files[f"/hub/datasets/org/name/resolve/{COMMIT}/de-en/{name}.parquet"] = content
    return content


def test_files_of_a_data_set_are_fetched_by_commit(site, fetch, cache):
    content = hub_files(site)
    folder = fetch(HUB)
    assert names(folder) == ["de-en/test.parquet", "de-en/train 1.parquet"]
    assert pairs(folder, HUB) == [("one", "eins")] * 2
    address = f"https://huggingface.co/datasets/org/name/resolve/{COMMIT}/de-en"
    files = json.loads(cache.lock.file.read_text())["files"]
    assert files == {f"{address}/test.parquet": {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}}
    requests = len(site.ranges)
    fetch(HUB)
    assert len(site.ranges) == requests  # the list is in the lock file, the files are in the cache


def test_a_file_that_differs_from_the_hubs_list_is_refused(site, fetch):
    hub_files(site)
    site.files[f"/hub/datasets/org/name/resolve/{COMMIT}/de-en/train%201.parquet"] = b"something else"
    with pytest.raises(HashError, match="does not match"):
        fetch(HUB)


def test_the_token_is_sent_to_the_hub_alone(site, fetch, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub_files(site)
    fetch(HUB)
    assert set(site.authorizations) == {"Bearer hf_secret"}
    site.authorizations.clear()
    moved = f"/hub/datasets/org/name/resolve/{COMMIT}/de-en/test.parquet"
    site.redirects[moved] = site.url.replace("127.0.0.1", "localhost") + "/cdn"
    site.files["/cdn"] = site.files[moved]
    with pytest.raises(SourceError) as caught:
        fetch({**HUB, "members": "README.md"})
    assert "hf_secret" not in str(caught.value)


def test_a_redirect_to_another_host_carries_no_token(site, fetch, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    content = hub_files(site)
    moved = f"/hub/datasets/org/name/resolve/{COMMIT}/de-en/test.parquet"
    site.redirects[moved], site.files["/cdn"] = site.url.replace("127.0.0.1", "localhost") + "/cdn", content
    fetch(HUB)
    assert site.authorizations == ["Bearer hf_secret", "Bearer hf_secret", None, "Bearer hf_secret"]


def test_no_token_is_sent_without_encryption(site, fetch, monkeypatch):
    from seqloom.corpus.sources.huggingface import _endpoint

    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.example")
    assert _endpoint() == ("http://mirror.example", "")


def test_a_server_cannot_ask_for_variables_of_the_environment(site, monkeypatch):
    monkeypatch.setenv("SEQLOOM_SECRET", "secret")
    site.files["/list"], site.link = b"[]", f'<{site.url}/list?x=${{SEQLOOM_SECRET}}>; rel="next"'
    answer = get_json("c", f"{site.url}/list")
    get_json("c", answer.next_page)
    assert site.queries == ["x=%24{SEQLOOM_SECRET}"]


@pytest.mark.parametrize(
    ("listed", "fault"),
    [
        ([], "no file of org/name matches"),
        ({"error": "x"}, "unknown answer"),
        ([{"type": "file", "path": "de-en/x.parquet", "size": 10**12}], r"more than max_bytes"),
        ([{"type": "file", "path": "de-en/" + "a" * 300 + ".parquet", "size": 1}], "too long"),
    ],
)
def test_bad_lists_of_files_are_errors(site, fetch, listed, fault):
    site.files[f"/hub/api/datasets/org/name/tree/{COMMIT}"] = json.dumps(listed).encode()
    with pytest.raises(SourceError, match=fault):
        fetch(HUB)


def index(tmp_path, **entry):
    (tmp_path / "mtdata").mkdir(exist_ok=True)
    lines = [json.dumps({"did": did, **entry}) for did in ("Statmt-europarl-10-deu-ces", MTDATA["dataset"])]
    (tmp_path / "mtdata" / "mtdata.index.0.5.1.jsonl").write_text("\n".join(lines) + "\n")


def test_a_data_set_of_mtdata_is_fetched_and_read_in_our_direction(site, fetch, tmp_path):
    site.files["/e.tsv.gz"] = gzip.compress(b"x\teins\tone\ny\tzwei\ttwo\n")
    index(tmp_path, url=f"{site.url}/e.tsv.gz", ext="tsv.gz", cols=[1, 2])
    folder = fetch(MTDATA)
    assert names(folder) == ["dataset.json", "pairs.tsv"]
    assert pairs(folder, MTDATA) == [("one", "eins"), ("two", "zwei")]
    (tmp_path / "mtdata" / "mtdata.index.0.5.1.jsonl").unlink()  # the lock file knows the address
    assert pairs(fetch(MTDATA), MTDATA) == [("one", "eins"), ("two", "zwei")]


def test_two_files_in_an_archive_of_mtdata_are_found_by_their_patterns(site, fetch, tmp_path):
    site.files["/e.zip"] = packed({"training/e.de": "eins\n", "training/e.en": "one\n", "training/e.fr": "un\n"})
    paths = ["*.de", "training/*.en"]
    index(tmp_path, url=f"{site.url}/e.zip", ext="zip", in_ext="txt", in_paths=paths, is_archive=True)
    assert pairs(fetch(MTDATA), MTDATA) == [("one", "eins")]


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"url": "https://e.org/x", "ext": "xlsx"}, "has the format xlsx .* not supported"),
        ({"url": "ftp://e.org/x", "ext": "tsv"}, "not supported"),
        ({"ext": "tsv"}, "is not understood"),
        ({"url": "https://e.org/x", "ext": "zip", "in_ext": "txt", "in_paths": ["../a", "b"]}, "outside the target"),
    ],
)
def test_entries_that_cannot_be_used_are_errors(fetch, tmp_path, entry, fault):
    index(tmp_path, **entry)
    with pytest.raises(SourceError, match=fault):
        fetch(MTDATA)


def test_without_an_index_of_mtdata_the_error_says_how_to_get_one(fetch):
    with pytest.raises(SourceError, match=r"no index of mtdata in .*run `mtdata/bin/mtdata list` once"):
        fetch(MTDATA)


def test_a_data_set_in_other_languages_is_an_error(fetch, tmp_path):
    index(tmp_path, url="https://e.org/x.tsv", ext="tsv")
    with pytest.raises(SourceError, match="has the languages deu and eng, not en and fr"):
        fetch(MTDATA, languages=Languages.model_validate({"source": "en", "target": "fr"}))


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ({**OPUS, "corpus": "../x"}, "should match pattern"),
        ({**OPUS, "members": "*"}, "must be left out"),
        ({**OPUS, "format": "tsv"}, "'moses' or 'tmx'"),
        ({**HUB, "commit": "main"}, "should match pattern"),
        ({**HUB, "dataset": "a/b/c"}, "should match pattern"),
        ({**HUB, "members": None}, "is required"),
        ({**MTDATA, "dataset": "../x"}, "should match pattern"),
    ],
)
def test_invalid_settings_are_rejected(source, fault):
    with pytest.raises(ValidationError, match=fault):
        TypeAdapter(Source).validate_python(source)


@pytest.mark.parametrize("content", ["{", "[]", '{"files": 1}'])
def test_a_broken_lock_file_is_an_error(tmp_path, content):
    (tmp_path / "lock").write_text(content)
    with pytest.raises(SourceError, match="restore"):
        SourceLock(tmp_path / "lock")


def test_the_size_of_a_file_is_known_before_its_download(site, cache):
    site.files["/OPUS-Books/v1/moses/de-en.txt.zip"] = BOOKS
    source = TypeAdapter(Source).validate_python(OPUS)
    (job,) = Fetching("c", source, EN_DE, cache).jobs()
    assert job.measure() == len(BOOKS)
    assert site.methods == ["HEAD"]
    job.run(ignore)
    del site.files["/OPUS-Books/v1/moses/de-en.txt.zip"]
    assert job.measure() == len(BOOKS)  # from the cache
    (other,) = Fetching("c", source.model_copy(update={"release": "v2"}), EN_DE, cache).jobs()
    assert other.measure() is None


def test_messages_name_the_section_of_a_monolingual_corpus(fetch):
    missing = {"kind": "file", "path": "data/local/absent.txt", "language": "de"}
    with pytest.raises(SourceError, match=r"see monolingual\.c\.path"):
        fetch(missing, MonolingualSource)


LARGE = packed({"Books.de-en.de": "eins\n" * 200_000, "Books.de-en.en": "".join(f"{n}\n" for n in range(200_000))})


def interrupted(cache):
    def interrupt(progress):
        raise KeyboardInterrupt

    (job,) = Fetching("c", TypeAdapter(Source).validate_python(OPUS), EN_DE, cache).jobs()
    with pytest.raises(KeyboardInterrupt):
        job.run(interrupt)


def test_a_download_without_a_pin_is_resumed_if_the_server_names_the_version(site, fetch, cache):
    site.files["/OPUS-Books/v1/moses/de-en.txt.zip"] = LARGE
    interrupted(cache)
    fetch(OPUS)
    assert [asked is None for asked in site.ranges] == [True, False]
    assert cache.lock.sha256_of(f"{OBJECTS}/moses/de-en.txt.zip") == hashlib.sha256(LARGE).hexdigest()


@pytest.mark.parametrize("change", ["no version", "another version"])
def test_a_download_without_a_pin_never_joins_parts_of_two_versions(site, fetch, cache, change):
    site.files["/OPUS-Books/v1/moses/de-en.txt.zip"] = LARGE
    site.etag = None if change == "no version" else '"1"'
    interrupted(cache)
    site.etag = None if change == "no version" else '"2"'
    site.files["/OPUS-Books/v1/moses/de-en.txt.zip"] = BOOKS
    assert names(fetch(OPUS))[:2] == ["de-en.de", "de-en.en"]
    assert cache.lock.sha256_of(f"{OBJECTS}/moses/de-en.txt.zip") == hashlib.sha256(BOOKS).hexdigest()


def test_a_list_of_files_that_continues_on_another_host_is_refused(site, fetch):
    hub_files(site)
    site.link = '<http://elsewhere.example/next>; rel="next"'
    with pytest.raises(SourceError, match="on another host"):
        fetch(HUB)


def test_two_corpora_share_what_the_lock_file_knows(site, fetch, cache):
    site.files["/OPUS-Books/v1/moses/de-en.txt.zip"] = BOOKS
    fetch(OPUS, name="a")
    again = SourceLock(cache.lock.file)
    assert again.sha256_of(f"{OBJECTS}/moses/de-en.txt.zip") == hashlib.sha256(BOOKS).hexdigest()
    requests = len(site.ranges)
    fetch(OPUS, name="b")
    assert len(site.ranges) == requests


def test_several_pairs_need_several_pins():
    several = Languages.model_validate({"source": "en", "target": ["de", "fr"]})
    source = TypeAdapter(Source).validate_python({**OPUS, "sha256": "0" * 64})
    assert list(check_corpora({"c": source}, EN_DE)) == []
    ((field, fault),) = check_corpora({"c": source}, several)
    assert (field, fault) == ("c.sha256", "each pair of languages needs its own: {de-en, en-fr: ...}")
