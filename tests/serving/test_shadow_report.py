from seqloom.gate.shadow import read_comparisons
from seqloom.serving.shadow_report import EVERY, ShadowReport
from seqloom.translation.results import Flag, Result

VERSIONS = ("m/3", "m/7")
SAME = (Result("a"), Result("a"))
OTHER = (Result("a"), Result("b", (Flag.LOOPED,)))


def test_requests_are_counted_and_written_now_and_then(tmp_path):
    now = 0.0
    report = ShadowReport(tmp_path, lambda: now)
    report.add(VERSIONS, [SAME, OTHER], [100.0, 40.0], (1.0, 2.0))
    assert read_comparisons(tmp_path, "m/7")[0].requests == 1
    report.add(VERSIONS, [SAME], [100.0], (0.5, 0.5))
    report.fail(VERSIONS)
    assert read_comparisons(tmp_path, "m/7")[0].requests == 1
    now = EVERY
    report.add(VERSIONS, [OTHER], [40.0], (0.5, 0.5))
    (found,) = read_comparisons(tmp_path, "m/7")
    assert found[5:] == (4, 1, 4, 2, 280.0, 2.0, 3.0, {}, {"looped": 2})


def test_another_version_begins_another_comparison(tmp_path):
    report = ShadowReport(tmp_path, lambda: 0.0)
    for served in ("m/3", "m/3", "m/4"):
        report.add((served, "m/7"), [SAME], [100.0], (1.0, 1.0))
    report.close()
    assert [(each.served, each.requests) for each in read_comparisons(tmp_path, "m/7")] == [("m/3", 2), ("m/4", 1)]


def test_a_report_that_cannot_be_written_is_logged(tmp_path, caplog):
    (tmp_path / "m").write_text("")
    ShadowReport(tmp_path).add(VERSIONS, [SAME], [100.0], (1.0, 1.0))
    assert "the report of the shadow cannot be written" in caplog.text
