"""The page's HTML, style and script, read as text."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from seqloom.serving.page import routes
from seqloom.translation.results import Flag

FOLDER = Path(routes.__file__).parent
HTML, CSS = ((FOLDER / name).read_text("utf-8") for name in ("index.html", "page.css"))
MODULES = {path.name: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.js"))}
JS = "".join(MODULES.values())
VOID = ("br", "input", "link", "meta")


class Document(HTMLParser):
    """The elements of a page, each with its attributes, its text and its ancestors; `nested` if all tags are closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements, self.open, self.nested = [], [], True
        self.feed(html)
        self.nested = self.nested and not self.open

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", "inside": [each["tag"] for each in self.open], **dict(attributes)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        self.nested = self.nested and self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, *tags):
        return [each for each in self.elements if each["tag"] in tags]


@pytest.fixture(scope="module")
def page():
    return Document(HTML)


@pytest.fixture(scope="module")
def ids(page):
    return [each["id"] for each in page.elements if "id" in each]


def test_tags_are_nested_and_ids_are_unique(page, ids):
    assert page.nested
    assert len(ids) == len(set(ids))
    assert page.all("html")[0]["lang"] == "en"


def test_every_field_has_a_label(page):
    labelled = {each["for"]: each["text"].strip() for each in page.all("label")}
    for field in page.all("input", "select", "textarea"):
        assert labelled.pop(field["id"])
    assert labelled == {}


def test_every_button_has_a_name(page):
    assert all(each.get("aria-label") or each["text"].strip() for each in page.all("button"))


def test_references_name_existing_ids(page, ids):
    names = ("aria-labelledby", "aria-describedby", "aria-controls")
    references = [name for each in page.elements for attribute in names for name in each.get(attribute, "").split()]
    links = [each["href"].removeprefix("#") for each in page.all("a")]
    assert set(references + links) <= set(ids)
    assert len(references) > 8


def test_the_script_uses_existing_ids(ids):
    named = set(re.findall(r'byId\("([\w-]+)"\)', JS))
    assert named <= set(ids)
    assert len(named) > 30


def test_modules_import_what_others_export_and_each_is_used():
    needed = {"page.js"}
    for name, code in MODULES.items():
        exported = {other: set(re.findall(r"^export (?:async )?(?:function|const|class) (\w+)", text, re.MULTILINE))
                    for other, text in MODULES.items()}  # fmt: skip
        imports = re.findall(r'^import \{ (.*?) \} from "\./([\w.]+)";$', code, re.MULTILINE)
        assert len(imports) == code.count("import "), name
        for names, other in imports:
            needed.add(other)
            assert set(names.split(", ")) <= exported[other], (name, other)
            assert all(code.count(each) > 1 for each in names.split(", ")), name
    assert needed == set(MODULES)


def test_results_and_states_are_announced(page):
    live = {each["id"] for each in page.elements if each.get("aria-live") == "polite" or each.get("role") == "status"}
    assert {"result", "status", "first-result", "second-result", "file-status"} <= live


def test_each_page_has_a_link_and_a_heading(page):
    sections = [each["id"] for each in page.all("section")]
    assert [each["href"] for each in page.all("a") if "nav" in each["inside"]] == [f"#{each}" for each in sections]
    assert len(page.all("h1")) == 1
    assert len(page.all("h2")) == len(sections)


def test_nothing_comes_from_outside_and_nothing_is_inline(page):
    assert "://" not in HTML + CSS + JS
    assert "url(" not in CSS
    loaded = [each.get("src") or each["href"] for each in page.all("script", "link", "img")]
    assert loaded == ["data:,", "/page/page.css", "/page/page.js"]
    assert not page.all("style")
    assert not [name for each in page.elements for name in each if name == "style" or name.startswith("on")]
    assert "innerHTML" not in JS


def test_every_flag_is_explained():
    explained = re.search(r"const FLAGS = \{(.*?)\};", JS, re.DOTALL)
    assert re.findall(r"^ +(\w+):", explained[1], re.MULTILINE) == [str(flag) for flag in Flag]


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, two):
    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_have_the_contrast_of_wcag_aa(scheme):
    block = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    texts = [
        ("ink", "page"), ("ink", "card"), ("ink", "soft"), ("ink", "mark"), ("muted", "page"), ("muted", "card"),
        ("accent", "page"), ("accent", "card"), ("accent", "soft"), ("on-accent", "accent"), ("warn", "warn-page"),
        ("ink", "heat"),
    ]  # fmt: skip
    assert {pair: contrast(*(colours[each] for each in pair)) for pair in texts if
            contrast(*(colours[each] for each in pair)) < 4.5} == {}  # fmt: skip
    assert contrast(colours["edge"], colours["card"]) >= 3  # the edges of fields
    assert contrast(colours["edge"], colours["page"]) >= 3
