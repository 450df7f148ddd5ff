"""README and docs: the README is short, every page has a kind and is in the index, and links are valid."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
INDEX = DOCS / "README.md"
MOST_WORDS = 1200
KINDS = {
    "Tutorial": "Tutorial: learn by doing",
    "How-to guide": "How-to guides: reach a goal",
    "Reference": "Reference: look something up",
    "Explanation": "Explanation: understand how it works",
}
PAGES = sorted(path for path in DOCS.glob("*.md") if path != INDEX)
LINKED = [README, INDEX, *PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "data/local/README.md"]


def named(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


def sections(text: str) -> dict[str, str]:
    """Return the text under each heading of the second level."""
    _, *parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as on GitHub."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").split()) <= MOST_WORDS


@pytest.mark.parametrize("page", PAGES, ids=named(PAGES))
def test_every_page_has_a_kind_and_is_listed_under_it(page: Path) -> None:
    title, kind = page.read_text(encoding="utf-8").split("\n")[0:3:2]
    assert title.startswith("# ")
    found = re.fullmatch(r"_(.+)\. \[All pages\]\(README\.md\)_", kind)
    assert found is not None, (
        f"the third line must be _KIND. [All pages](README.md)_, with KIND one of {', '.join(KINDS)}"
    )
    listed = sections(INDEX.read_text(encoding="utf-8"))[KINDS[found[1]]]
    assert f"- [{page.name}]({page.name}): " in listed


@pytest.mark.parametrize("page", LINKED, ids=named(LINKED))
def test_links_between_files_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_every_room_is_on_the_map() -> None:
    rooms = {path.parent.name for path in (ROOT / "src" / "seqloom").glob("*/__init__.py")}
    rows = sections(README.read_text(encoding="utf-8"))["Map of the code"]
    on_the_map = {name.removeprefix("src/seqloom/").rstrip("/") for name in re.findall(r"`([\w/]+/)`", rows)}
    assert rooms <= on_the_map


def test_messages_of_the_troubleshooting_page_are_in_the_code() -> None:
    # Parts that vary are in the code as {expressions}, so compare the words between them.
    of_dvc = {"Git user name and email must be configured"}  # a message of DVC, like those about its lock
    code = "".join(
        path.read_text(encoding="utf-8") for room in ("src", "pipelines") for path in (ROOT / room).rglob("*.py")
    )
    rows = re.findall(r"^\| (`.*?) \|", (DOCS / "TROUBLESHOOTING.md").read_text(encoding="utf-8"), re.MULTILINE)
    quoted = [message for row in rows if "`dvc repro`" not in row for message in re.findall(r"`([^`]+)`", row)]
    parts = [part.strip(" ()") for message in quoted for part in re.split(r"\.\.\.+|process N|4200|N:|:", message)]
    words = [part for part in parts if len(part.split()) >= 3]
    assert len(words) >= 7
    assert {part for part in words if part not in code} <= of_dvc
