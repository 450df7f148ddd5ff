from html.parser import HTMLParser

import pytest

from seqloom.errors import EvaluationError
from seqloom.evaluation.cards import segment_table
from seqloom.evaluation.report import Curve, read_curve, report
from seqloom.evaluation.scoring import score
from seqloom.evaluation.segments import Segments
from seqloom.languages import Direction

EN_DE = Direction("en", "de")
EVIL = '<script>alert("1")</script><img src=x onerror=alert(1)>&amp;'
VOID = {"meta", "br"}


class Page(HTMLParser):
    """An HTML parser that collects elements and texts, and checks that every element is closed."""

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
    """A function that renders the report of segments."""

    def render(segments, task="translation", **more):
        scores = score(segments, task=task, settings=settings)
        return report(segments, scores, **{"examples": 2, "facts": {}, "curve": curve, **more})

    return render


def test_the_page_has_all_scores_and_facts(page, segments, settings):
    text = Page(page(segments, facts={"Model": {"parameters": "2,345"}, "Empty": {}})).text
    found = score(segments, task="translation", settings=settings)
    for each in found.scores.values():
        assert f"{each.score:.1f}" in text
        assert f"{each.low:.1f} to {each.high:.1f}" in text
        assert each.signature in text
    for bucket in found.by_length:
        assert bucket.words in text
    assert f"copying the source gives {found.baseline['bleu']:.1f}" in text
    assert f"{found.placeholders.accuracy:.1%} of the {found.placeholders.segments}" in text
    assert found.test_sha256 in text
    assert "2,345" in text
    assert "Empty" not in text
    for section in ("Scores", "By source length", "Learning curves", "Placeholders", "Best", "Median", "Worst"):
        assert section in text


def test_the_page_loads_nothing_and_has_no_scripts(page, segments):
    elements = Page(page(segments)).elements
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & {tag for tag, _ in elements}
    assert not any(name in attributes for _, attributes in elements for name in ("src", "href", "action", "onload"))
    policy = next(a["content"] for _, a in elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "url(" not in page(segments)


def test_texts_of_segments_are_escaped(page):
    segments = Segments([EVIL, "x {a}"], [EVIL, "x"], [EVIL, EVIL], [Direction(EVIL, EVIL + "x")] * 2)
    html = page(segments, facts={EVIL: {EVIL: EVIL}})
    assert "<script" not in html
    assert not {"script", "img"} & {tag for tag, _ in Page(html).elements}
    assert EVIL in Page(html).text


def test_lost_placeholders_are_shown_and_counted(page):
    sources = ["{a} on", "{b} off", "{c} up", "plain"]
    html = page(Segments(sources, sources, ["on", "off", "{c} up", "plain"], [EN_DE] * 4), examples=1)
    text = " ".join(Page(html).text.split())
    assert "2 segments of 3 with placeholders lost at least one" in text
    assert "the first 1 are shown below" in text
    assert "lost {a}" in text


def test_warnings_are_on_the_page(page):
    assert "empty translation for every segment" in Page(page(Segments(["a"], ["b"], [""], [EN_DE]))).text


def test_sections_without_data_are_omitted(page):
    plain = Segments(["a b"], ["c d"], ["c d"], [EN_DE])
    assert "Learning curves" not in page(plain, curve=None)
    assert "Learning curves" not in page(plain, curve=Curve([], [], []))
    assert "<h2>Placeholders" not in page(plain)


def test_equal_results_give_equal_bytes(page, segments):
    assert page(segments) == page(segments)


def test_the_segment_table_has_a_line_per_segment(settings):
    segments = Segments(["a {x}", "b\tc"], ["d", "e\nf"], ["g", "h\ti"], [EN_DE] * 2)
    scores = score(segments, task="translation", settings=settings)
    lines = [line.split("\t") for line in segment_table(segments, scores).splitlines()]
    assert lines[0] == ["source", "reference", "hypothesis", "chrf", "lost_placeholders"]
    assert [line[:3] for line in lines[1:]] == [["a {x}", "d", "g"], ["b c", "e f", "h i"]]
    assert [line[4] for line in lines[1:]] == ["{x}", ""]


def test_the_segment_table_has_directions_if_there_are_several(settings):
    segments = Segments(["a {x}", "b"], ["d", "e"], ["g", "h"], [EN_DE, Direction("de", "en")])
    lines = segment_table(segments, score(segments, task="translation", settings=settings)).splitlines()
    assert [line.split("\t")[4:] for line in lines] == [
        ["lost_placeholders", "direction"],
        ["{x}", "en-de"],
        ["", "de-en"],
    ]
    summaries = score(segments, task="summarization", settings=settings)
    assert segment_table(segments, summaries).splitlines()[0].endswith("chrf\tdirection")


@pytest.mark.parametrize(
    ("pairs", "shown"),
    [
        (["en-de"], "Translation test report: en\u00a0→\u00a0de"),
        (["en-de", "en-fr"], "Translation test report: en\u00a0→\u00a0de, fr"),
        (["en-de", "de-en"], "Translation test report: en\u00a0→\u00a0de, de\u00a0→\u00a0en"),
        (["en-en"], "Translation test report: en "),
    ],
)
def test_the_heading_names_the_directions(page, pairs, shown):
    directions = [Direction(*pair.split("-")) for pair in pairs]
    texts = ["a"] * len(pairs)
    assert shown in Page(page(Segments(texts, texts, texts, directions))).text


def test_a_table_has_a_row_for_each_direction(page, segments, settings):
    mixed = segments._replace(directions=[EN_DE, Direction("en", "fr"), Direction("de", "fr")] * 40)
    html = page(mixed)
    text = Page(html).text
    assert "By direction" in text
    assert "mean of 3 directions, 95% interval" in text
    found = score(mixed, task="translation", settings=settings)
    for direction, each in found.directions.items():
        one = each.scores["bleu"]
        assert f"{direction.source} → {direction.target}" in text
        assert f"{one.score:.1f} [{one.low:.1f}, {one.high:.1f}]" in text
    assert f"; {EN_DE}" in text  # on a card
    assert 'lang="fr"' in html
    assert "By direction" not in page(segments)


def test_a_summary_report_has_rouge_and_no_placeholders(page, segments):
    text = Page(page(segments._replace(directions=[Direction("en", "en")] * 120), task="summarization")).text
    assert "Summarization test report: en " in text
    assert "ROUGE-L on 120 test segments" in text
    for absent in ("TER", "Placeholders", "Translation", "Copied source"):
        assert absent not in text
    for present in ("ROUGE-1", "ROUGE-2", "BLEU", "chrF", "Beginning of the source", "stem:porter"):
        assert present in text


def test_long_texts_are_truncated(page):
    html = page(Segments(["<" * 5000], ["short"], ["short"], [EN_DE]))
    assert html.count("&lt;" * 2000) == 3  # on the card among the best, the median and the worst
    assert "&lt;" * 2001 not in html
    assert "3,000 more characters" in html


def test_the_curve_may_have_empty_cells(tmp_path):
    path = tmp_path / "training.csv"
    path.write_text("step,epoch,loss,lr,grad_norm,valid_loss,valid_bleu\n10,0,5.5,1,1,,\n20,0,,,,4.5,2.5\n")
    assert read_curve(path) == Curve([(10, 5.5)], [(20, 4.5)], [(20, 2.5)])
    assert read_curve(tmp_path / "none.csv") is None


@pytest.mark.parametrize("text", ["step,loss\n1,2\n", "step,loss,valid_loss,valid_bleu\n1,x,,\n", "step,loss\n1\n"])
def test_a_malformed_curve_is_an_error_with_its_line(tmp_path, text):
    path = tmp_path / "training.csv"
    path.write_text(text)
    with pytest.raises(EvaluationError, match=r"training\.csv: line 2"):
        read_curve(path)
