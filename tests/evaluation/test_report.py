from html.parser import HTMLParser

import pytest

from seqloom.errors import EvaluationError
from seqloom.evaluation.report import Curve, read_curve, report
from seqloom.evaluation.scores import score
from seqloom.evaluation.segments import Segments, segment_table

EVIL = '<script>alert("1")</script><img src=x onerror=alert(1)>&amp;'
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Reads a page as a browser does: its elements, its text by element, and whether every one is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data + " "


@pytest.fixture
def curve():
    return Curve([(1, 9.0), (2, 7.0)], [(2, 7.5)], [(2, 1.5)])


@pytest.fixture
def page(settings, curve):
    """Renders segments, with the facts and the curve given."""

    def render(segments, **more):
        scores = score(segments.hypotheses, segments.references, segments.sources, language="de", settings=settings)
        given = {"source_language": "en", "target_language": "de", "examples": 2, "facts": {}, "curve": curve, **more}
        return report(segments, scores, **given)

    return render


def test_everything_is_told(page, segments, settings):
    text = Page(page(segments, facts={"Model": {"parameters": "2,345"}, "Empty": {}})).text
    found = score(segments.hypotheses, segments.references, segments.sources, language="de", settings=settings)
    for each in (found.bleu, found.chrf, found.ter):
        assert f"{each.score:.1f}" in text
        assert f"{each.low:.1f} to {each.high:.1f}" in text
        assert each.signature in text
    for bucket in found.by_length:
        assert bucket.words in text
    assert f"copying the source gives {found.copy_bleu:.1f}" in text
    assert f"{found.placeholders.accuracy:.1%} of the {found.placeholders.segments}" in text
    assert found.test_sha256 in text
    assert "2,345" in text
    assert "Empty" not in text
    for section in ("Scores", "By source length", "How it learned", "Placeholders", "Best", "Median", "Worst"):
        assert section in text


def test_the_page_loads_nothing_and_runs_nothing(page, segments):
    elements = Page(page(segments)).elements
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & {tag for tag, _ in elements}
    assert not any(name in attributes for _, attributes in elements for name in ("src", "href", "action", "onload"))
    policy = next(a["content"] for _, a in elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "url(" not in page(segments)


def test_text_from_outside_cannot_become_markup(page):
    segments = Segments([EVIL, "x {a}"], [EVIL, "x"], [EVIL, EVIL])
    html = page(segments, source_language=EVIL, target_language=EVIL, facts={EVIL: {EVIL: EVIL}})
    assert "<script" not in html
    assert not {"script", "img"} & {tag for tag, _ in Page(html).elements}
    assert EVIL in Page(html).text


def test_lost_placeholders_are_shown_and_counted(page):
    sources = ["{a} on", "{b} off", "{c} up", "plain"]
    html = page(Segments(sources, sources, ["on", "off", "{c} up", "plain"]), examples=1)
    text = " ".join(Page(html).text.split())
    assert "2 segments of 3 with placeholders lost at least one" in text
    assert "the first 1 are below" in text
    assert "lost {a}" in text


def test_warnings_stand_on_the_page(page):
    assert "empty translation for every segment" in Page(page(Segments(["a"], ["b"], [""]))).text


def test_without_a_curve_or_placeholders_their_sections_are_left_out(page):
    plain = Segments(["a b"], ["c d"], ["c d"])
    assert "How it learned" not in page(plain, curve=None)
    assert "How it learned" not in page(plain, curve=Curve([], [], []))
    assert "<h2>Placeholders" not in page(plain)


def test_equal_results_give_equal_bytes(page, segments):
    assert page(segments) == page(segments)


def test_the_table_has_a_line_per_segment(settings):
    segments = Segments(["a {x}", "b\tc"], ["d", "e\nf"], ["g", "h\ti"])
    scores = score(segments.hypotheses, segments.references, segments.sources, language="de", settings=settings)
    lines = [line.split("\t") for line in segment_table(segments, scores).splitlines()]
    assert lines[0] == ["source", "reference", "hypothesis", "chrf", "lost_placeholders"]
    assert [line[:3] for line in lines[1:]] == [["a {x}", "d", "g"], ["b c", "e f", "h i"]]
    assert [line[4] for line in lines[1:]] == ["{x}", ""]


def test_the_curve_is_read_with_its_gaps(tmp_path):
    path = tmp_path / "training.csv"
    path.write_text("step,epoch,loss,lr,grad_norm,valid_loss,valid_bleu\n10,0,5.5,1,1,,\n20,0,,,,4.5,2.5\n")
    assert read_curve(path) == Curve([(10, 5.5)], [(20, 4.5)], [(20, 2.5)])
    assert read_curve(tmp_path / "none.csv") is None


@pytest.mark.parametrize("text", ["step,loss\n1,2\n", "step,loss,valid_loss,valid_bleu\n1,x,,\n", "step,loss\n1\n"])
def test_a_broken_curve_is_told_with_its_line(tmp_path, text):
    path = tmp_path / "training.csv"
    path.write_text(text)
    with pytest.raises(EvaluationError, match=r"training\.csv: line 2"):
        read_curve(path)
