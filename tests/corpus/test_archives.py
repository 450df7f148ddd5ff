import gzip
import io
import stat
import tarfile
import zipfile

import pytest

from seqloom.corpus.sources.archives import Limits, unpack
from seqloom.errors import ArchiveError

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
    """Unpack bytes in a folder of its own, and return what lies there."""

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


def test_zip(open_archive):
    assert open_archive(zipped(*WHOLE.items())) == WHOLE


def test_tar(open_archive):
    assert open_archive(tarred(*WHOLE.items())) == WHOLE


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "download"])
def test_tar_gz_under_any_name(open_archive, name):
    assert open_archive(gzip.compress(tarred(*WHOLE.items())), name) == WHOLE


def test_gz(open_archive):
    assert open_archive(gzip.compress(TEXT), "pairs.tsv.gz") == {"pairs.tsv": TEXT}


def test_a_member_may_bear_the_name_of_its_archive(open_archive):
    assert open_archive(zipped(("data", TEXT)), "data") == {"data": TEXT}


def test_other_files_are_left_alone(open_archive):
    assert open_archive(TEXT, "pairs.tsv") == {"pairs.tsv": TEXT}


def test_a_wheel_is_read_in_place(open_archive):
    wheel = zipped(("p/a.json", b"{}"))
    assert open_archive(wheel, "p-1-py3-none-any.whl") == {"p-1-py3-none-any.whl": wheel}


@pytest.mark.parametrize(
    "name", ["../evil", "/evil", "a/../../evil", "..", "a\\..\\..\\evil", "C:/evil", "C:evil", "//host/evil"]
)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_nothing_leaves_the_folder(open_archive, pack, name):
    with pytest.raises(ArchiveError, match="would leave the folder"):
        open_archive(pack(("fine", b"1"), (name, b"2")))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_a_tar_makes_no_links_or_devices(open_archive, kind):
    member = tarfile.TarInfo("link")
    member.type, member.linkname = kind, "/etc/passwd"
    with pytest.raises(ArchiveError, match="'link' is a link or a device"):
        open_archive(tarred((member, b""), ("link/through", b"1")))


def test_a_zip_makes_no_links(open_archive):
    member = zipfile.ZipInfo("link")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(ArchiveError, match="'link' is a link"):
        open_archive(zipped((member, b"/etc/passwd")))


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_stands_once(open_archive, pack):
    with pytest.raises(ArchiveError, match="twice"):
        open_archive(pack(("a", b"1"), ("a", b"2")))


def test_a_file_is_no_folder(open_archive):
    with pytest.raises(ArchiveError, match="twice"):
        open_archive(zipped(("a", b"1"), ("a/b", b"2")))


@pytest.mark.parametrize(
    ("pack", "name"),
    [(lambda content: zipped(("zeros", content)), "a.zip"), (gzip.compress, "a.gz")],
    ids=["zip", "gzip"],
)
def test_a_bomb_is_defused_by_its_ratio(open_archive, pack, name, tmp_path):
    with pytest.raises(ArchiveError, match="more than 200 times"):
        open_archive(pack(bytes(60_000_000)), name, Limits(bytes=10**12))
    written = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert written < 40_000_000


def test_a_total_is_not_exceeded(open_archive):
    with pytest.raises(ArchiveError, match="more than 5,000 bytes"):
        open_archive(zipped(("a", TEXT[:4000]), ("b", TEXT[:4000])), limits=Limits(bytes=5000))


def test_a_number_of_files_is_not_exceeded(open_archive):
    with pytest.raises(ArchiveError, match="more than 10 files"):
        open_archive(zipped(*((str(n), b"") for n in range(11))), limits=Limits(bytes=5000, members=10))


def test_a_size_that_lies_is_found_out(open_archive):
    content = bytearray(zipped(("a", TEXT), compression=zipfile.ZIP_STORED))
    where = content.rfind(b"PK\x01\x02") + 24
    content[where : where + 4] = (len(TEXT) - 100).to_bytes(4, "little")
    with pytest.raises(ArchiveError, match="truncated or corrupt"):
        open_archive(bytes(content))


@pytest.mark.parametrize("pack", [zipped, tarred, lambda *m: gzip.compress(tarred(*m)), lambda *m: gzip.compress(TEXT)])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.85])
def test_a_truncated_archive_is_no_archive(open_archive, pack, share):
    content = pack(("a", TEXT), ("b", TEXT * 2))
    with pytest.raises(ArchiveError, match="truncated or corrupt"):
        open_archive(content[: int(len(content) * share)])


def test_a_tar_cut_between_two_members_is_noticed(open_archive):
    content = tarred(("a", bytes(512)), ("b", bytes(512)))
    with pytest.raises(ArchiveError, match="truncated"):
        open_archive(content[:1024])


def test_a_flipped_byte_is_noticed(open_archive):
    content = bytearray(zipped(("a", TEXT)))
    content[len(content) // 3] ^= 1
    with pytest.raises(ArchiveError, match="truncated or corrupt"):
        open_archive(bytes(content))


def test_an_encrypted_zip_is_named(open_archive):
    content = bytearray(zipped(("a", TEXT)))
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.find(magic) + flags] |= 1
    with pytest.raises(ArchiveError, match="encrypted"):
        open_archive(bytes(content))


def test_an_unread_kind_says_which_are_read(open_archive):
    with pytest.raises(ArchiveError, match=r"valid are zip, tar, tar\.gz and gz"):
        open_archive(b"BZh9" + bytes(100), "a.tar.bz2")
