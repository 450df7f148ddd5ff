import contextlib
import gzip
import io
import shutil
import stat
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.corpus.members import open_members
from seqloom.corpus.sources.archives import Limits, unpack
from seqloom.errors import ArchiveError
from tests.examples import examples
from tests.memory import peak_memory

LIMITS = Limits(bytes=10_000_000)
TEXT = b"".join(b"%d line\n" % (n * n) for n in range(3000))


def zipped(*members, compression=zipfile.ZIP_DEFLATED):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


def tarred(*members):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def open_archive(tmp_path):
    """Unpack an archive in a new folder; return the extracted files."""

    def run(content, name="a.bin", limits=LIMITS):
        folder = tmp_path / "inner" / "folder"
        folder.mkdir(parents=True)
        (folder / name).write_bytes(content)
        try:
            unpack(folder / name, limits)
        finally:
            outside = [path for path in tmp_path.rglob("*") if path.is_file() and folder not in path.parents]
            assert not outside
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    return run


WHOLE = {"a/x.en": TEXT, "a/x.de": b"zwei", "leer": b""}


def test_a_zip_is_extracted(open_archive):
    assert open_archive(zipped(*WHOLE.items())) == WHOLE


def test_a_tar_is_extracted(open_archive):
    assert open_archive(tarred(*WHOLE.items())) == WHOLE


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "download"])
def test_a_tar_gz_is_extracted_whatever_its_name(open_archive, name):
    assert open_archive(gzip.compress(tarred(*WHOLE.items())), name) == WHOLE


def test_a_gz_is_decompressed(open_archive):
    assert open_archive(gzip.compress(TEXT), "pairs.tsv.gz") == {"pairs.tsv": TEXT}


def test_a_member_may_have_the_name_of_its_archive(open_archive):
    assert open_archive(zipped(("data", TEXT)), "data") == {"data": TEXT}


def test_other_files_are_unchanged(open_archive):
    assert open_archive(TEXT, "pairs.tsv") == {"pairs.tsv": TEXT}


def test_a_wheel_is_not_extracted(open_archive):
    wheel = zipped(("p/a.json", b"{}"))
    assert open_archive(wheel, "p-1-py3-none-any.whl") == {"p-1-py3-none-any.whl": wheel}


@pytest.mark.parametrize(
    "name", ["../evil", "/evil", "a/../../evil", "..", "a\\..\\..\\evil", "C:/evil", "C:evil", "//host/evil"]
)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_nothing_is_extracted_outside_the_folder(open_archive, pack, name):
    with pytest.raises(ArchiveError, match="points outside the target folder"):
        open_archive(pack(("fine", b"1"), (name, b"2")))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_rejected(open_archive, kind):
    member = tarfile.TarInfo("link")
    member.type, member.linkname = kind, "/etc/passwd"
    with pytest.raises(ArchiveError, match="'link' is a link or a device"):
        open_archive(tarred((member, b""), ("link/through", b"1")))


def test_links_in_a_zip_are_rejected(open_archive):
    member = zipfile.ZipInfo("link")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(ArchiveError, match="'link' is a link"):
        open_archive(zipped((member, b"/etc/passwd")))


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_duplicate_name_is_rejected(open_archive, pack):
    with pytest.raises(ArchiveError, match="twice"):
        open_archive(pack(("a", b"1"), ("a", b"2")))


def test_a_name_is_not_both_file_and_folder(open_archive):
    with pytest.raises(ArchiveError, match="twice"):
        open_archive(zipped(("a", b"1"), ("a/b", b"2")))


@pytest.mark.parametrize(
    ("pack", "name"),
    [(lambda content: zipped(("zeros", content)), "a.zip"), (gzip.compress, "a.gz")],
    ids=["zip", "gzip"],
)
def test_a_decompression_bomb_is_stopped_by_its_ratio(open_archive, pack, name, tmp_path):
    with pytest.raises(ArchiveError, match="more than 200 times"):
        open_archive(pack(bytes(60_000_000)), name, Limits(bytes=10**12))
    written = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert written < 40_000_000


def test_the_total_size_is_limited(open_archive):
    with pytest.raises(ArchiveError, match="more than 5,000 bytes"):
        open_archive(zipped(("a", TEXT[:4000]), ("b", TEXT[:4000])), limits=Limits(bytes=5000))


def test_the_number_of_files_is_limited(open_archive):
    with pytest.raises(ArchiveError, match="more than 10 files"):
        open_archive(zipped(*((str(n), b"") for n in range(11))), limits=Limits(bytes=5000, members=10))


def test_a_false_size_is_detected(open_archive):
    content = bytearray(zipped(("a", TEXT), compression=zipfile.ZIP_STORED))
    where = content.rfind(b"PK\x01\x02") + 24
    content[where : where + 4] = (len(TEXT) - 100).to_bytes(4, "little")
    with pytest.raises(ArchiveError, match="truncated or corrupt"):
        open_archive(bytes(content))


@pytest.mark.parametrize("pack", [zipped, tarred, lambda *m: gzip.compress(tarred(*m)), lambda *m: gzip.compress(TEXT)])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.85])
def test_a_truncated_archive_is_rejected(open_archive, pack, share):
    content = pack(("a", TEXT), ("b", TEXT * 2))
    with pytest.raises(ArchiveError, match="truncated or corrupt"):
        open_archive(content[: int(len(content) * share)])


def test_a_tar_truncated_between_members_is_rejected(open_archive):
    content = tarred(("a", bytes(512)), ("b", bytes(512)))
    with pytest.raises(ArchiveError, match="truncated"):
        open_archive(content[:1024])


def test_a_flipped_byte_is_detected(open_archive):
    content = bytearray(zipped(("a", TEXT)))
    content[len(content) // 3] ^= 1
    with pytest.raises(ArchiveError, match="truncated or corrupt"):
        open_archive(bytes(content))


def test_an_encrypted_zip_is_rejected(open_archive):
    content = bytearray(zipped(("a", TEXT)))
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.find(magic) + flags] |= 1
    with pytest.raises(ArchiveError, match="encrypted"):
        open_archive(bytes(content))


def test_the_error_for_an_unsupported_kind_lists_the_supported_ones(open_archive):
    with pytest.raises(ArchiveError, match=r"supported are zip, tar, tar\.gz and gz"):
        open_archive(b"BZh9" + bytes(100), "a.tar.bz2")


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("n" * 300, "is too long"),
        ("/".join(["d" * 50] * 30), "is too long"),
        ("d/" * 3000 + "x", "3,001 folders deep"),
        ("a\x1b[31mb", r"'a\\x1b\[31mb' contains control characters"),
        ("a\nb", r"'a\\nb' contains control characters"),
        ("a\x85b", "contains control characters"),
        ("a\u202eb", "contains control characters"),
        (".", "a file without a name"),
    ],
)
def test_dangerous_names_are_rejected(open_archive, pack, name, message):
    with pytest.raises(ArchiveError, match=message) as caught:
        open_archive(pack(("fine", b"1"), (name, b"2")))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_a_file_without_a_name_is_rejected(open_archive, tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        info = zipfile.ZipInfo("n")
        with archive.open(info, "w") as member:
            member.write(b"2")
        info.filename = ""  # changes only the directory, which is written last
    for number, content in enumerate((packed.getvalue(), tarred(("", b"2")))):
        (tmp_path / f"{number}.bin").write_bytes(content)
        with pytest.raises(ArchiveError, match="a file without a name"):
            unpack(tmp_path / f"{number}.bin", LIMITS)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_member_may_have_the_name_of_a_temporary_folder(open_archive, pack):
    assert open_archive(pack((".unpacked/x", b"1"), (".unpacked/.unpacked/x", b"2"))) == {
        ".unpacked/x": b"1",
        ".unpacked/.unpacked/x": b"2",
    }


@pytest.mark.parametrize(("method", "name"), [(zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "LZMA")])
def test_compression_that_python_reads_without_limit_is_rejected(open_archive, tmp_path, method, name):
    content = zipped(("a", TEXT), compression=method)
    with pytest.raises(ArchiveError, match=f"'a' is compressed with {name}; supported are deflate"):
        open_archive(content)
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "p-1-py3-none-any.whl").write_bytes(content)
    with open_members("c", tmp_path / "w") as members, pytest.raises(ArchiveError, match=f"compressed with {name}"):
        members.read("a")


def pax(*records, name="a", content=b"12345", size=None):
    """Return a tar whose member follows a PAX header with these records."""
    return header("x", b"".join(records), b"x", size) + header(name, content, b"0") + bytes(1024)


def header(name, content, kind, size=None):
    field = name.encode().ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2
    field += b"%011o\0" % (len(content) if size is None else size) + b"00000000000\0"
    field += b" " * 8 + kind + bytes(100) + b"ustar\0" + b"00" + bytes(247)
    checked = field[:148] + b"%06o\0 " % sum(field) + field[156:]
    return checked + content + bytes(-len(content) % 512)


def record(key, value):
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while length != len(rest) + len(str(length)):
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def test_pax_headers_set_names_and_sizes(open_archive):
    long = "ä" * 90
    packed = pax(record(b"path", long.encode()), record(b"mtime", b"1.5"), record(b"comment", b"a=b\nc"))
    assert open_archive(packed) == {long: b"12345"}


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (pax(b"5 a\n"), "record of a PAX header"),
        (pax(b"0 a=b\n"), "record of a PAX header"),
        (pax(b"-9 a=b\n"), "record of a PAX header"),
        (pax(b"9" * 5000 + b" a=b\n"), "record of a PAX header"),
        (pax(b"\xc2\xb2 a=b\n"), "record of a PAX header"),
        (pax(b"6 a=bc"), "record of a PAX header"),
        (pax(record(b"size", b"-1")), "is not a number"),
        (pax(record(b"size", b"9" * 30)), "is not a number"),
        (pax(record(b"size", b"99999999")), "truncated or corrupt: unexpected end"),
        (pax(record(b"path", b"../evil")), "points outside the target folder"),
        (pax(record(b"path", b"a\0b")), "points outside the target folder"),
        (pax(record(b"path", b"\xff")), r"'\\\\xff' is not UTF-8"),
        (pax(record(b"path", b"\x1b[2J")), "control characters"),
        (pax(record(b"GNU.sparse.map", b"0,1")), "sparse"),
        (pax(record(b"GNU.sparse.major", b"1")), "sparse"),
        (pax(record(b"comment", b"x" * 100_000)), "a header has 100,0.. bytes"),
        (pax(size=10**9), "a header has 1,000,000,000 bytes"),
        (pax(record(b"path", b"x"), size=4000), "truncated or corrupt"),
        (header("g", record(b"path", b"x"), b"g") + bytes(1024), "a global header"),
        (header("L", b"x" * 100_000, b"L") + bytes(1024), "a header has 100,000 bytes"),
        (header("a", b"", b"S") + bytes(1024), "sparse"),
        (header("a", b"", b"V") + bytes(1024), "a link or a device"),
        (header("a", b"12345", b"0")[:512] + b"junk", "unexpected end"),
        (header("a", b"12345", b"0").replace(b"0000644", b"0000645") + bytes(1024), "checksum"),
        (header("a", b"12345", b"0").replace(b"00000000005\0", b"0000000000z\0") + bytes(1024), "truncated or corrupt"),
    ],
)
def test_errors_for_invalid_tar_headers_fit_on_one_line(open_archive, packed, message):
    with pytest.raises(ArchiveError, match=message) as caught:
        open_archive(packed)
    assert str(caught.value).isprintable()


def test_a_huge_header_is_rejected_without_reading_it(open_archive, tmp_path):
    (tmp_path / "bomb.tar").write_bytes(header("x", b"", b"x", 60_000_000) + bytes(60_000_000))

    def opened():
        with pytest.raises(ArchiveError, match="60,000,000 bytes"):
            unpack(tmp_path / "bomb.tar", Limits(bytes=10**12))

    assert peak_memory(opened) < 2_000_000


def test_the_size_of_a_zip_directory_is_limited(open_archive):
    content = bytearray(zipped(("a", TEXT)))
    where = content.rfind(b"PK\x05\x06") + 12
    content[where : where + 4] = (10**9).to_bytes(4, "little")
    with pytest.raises(ArchiveError, match="the directory has 1,000,000,000 bytes"):
        open_archive(bytes(content))


SEEDS = [
    zipped(("a/x", TEXT[:300]), ("b", b"2")),
    tarred(("a/x", TEXT[:300]), ("b" * 150, b"2")),
    pax(record(b"path", b"x")),
    gzip.compress(tarred(("a", b"1"))),
    gzip.compress(b"x"),
    b"BZh9" + bytes(50),
    b"\xfd7zXZ\0" + bytes(50),
]


def test_a_member_that_begins_before_the_zip_is_corrupt(tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a", "x")
    packed = bytearray(content.getvalue())
    size = packed.rindex(b"PK\x05\x06") + 12  # size of the directory: one more byte moves every member back by one
    packed[size] += 1
    (tmp_path / "a.bin").write_bytes(packed)
    with pytest.raises(ArchiveError, match=r"a\.bin.* is truncated or corrupt"):
        unpack(tmp_path / "a.bin", Limits(bytes=10**6))
    (tmp_path / "p-1-py3-none-any.whl").write_bytes(packed)
    (tmp_path / "a.bin").unlink()
    with pytest.raises(ArchiveError, match="truncated or corrupt"), open_members("c", tmp_path) as members:
        members.read("a")


@settings(max_examples=examples(200), deadline=None)
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=8)), max_size=6))
def test_damaged_archives_raise_only_archive_errors(tmp_path_factory, seed, cuts):
    content = bytearray(seed)
    for at, noise in cuts:
        content[at % len(content) : at % len(content) + len(noise)] = noise
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "a.bin").write_bytes(content)
    try:
        unpack(folder / "a.bin", Limits(bytes=10**6))
    except ArchiveError as error:
        message = str(error)
    else:
        message = ""
    assert not message or message.isprintable()
    (folder / "p-1-py3-none-any.whl").write_bytes(content)
    (folder / "a.bin").unlink(missing_ok=True)
    with contextlib.suppress(ArchiveError), open_members("c", folder) as members:
        for name in members.names:
            with contextlib.suppress(ArchiveError):
                members.read(name)
    shutil.rmtree(folder)
