import threading

import pytest

from seqloom.corpus.sources.parallel import Job, parallel_downloads, run_jobs
from seqloom.errors import HashError, OfflineError, SourceError
from seqloom.progress import Progress, ignore


def job(name, run=lambda listen: None, size=None):
    return Job(name, name, run, size)


def downloading(size):
    def run(listen):
        for done in (size // 2, size):
            listen(Progress("x", done, size, "bytes"))

    return run


def failing(error):
    def run(listen):
        raise error

    return run


@pytest.mark.parametrize("parallel", [1, 3])
def test_jobs_run_side_by_side_up_to_the_limit(parallel):
    together = threading.Barrier(parallel, timeout=10)
    running, most = [], []

    def run(listen):
        running.append(1)
        together.wait()
        most.append(len(running))
        together.wait()
        running.pop()

    run_jobs([job(f"c{number}", run) for number in range(parallel * 2)], parallel, ignore)
    assert max(most) == parallel


def test_the_progress_is_that_of_all_files_together():
    reports = []
    run_jobs([job("a", downloading(100), 100), job("b", downloading(50), 50)], 2, reports.append)
    last = reports[-1]
    assert (last.task, last.done, last.total, last.unit, last.note) == ("download", 150, 150, "bytes", "2 of 2 files")
    assert all(report.total in (None, 150) for report in reports)


def test_a_single_job_reports_itself():
    reports = []
    run_jobs([job("a", downloading(10))], 4, reports.append)
    assert [report.task for report in reports] == ["x", "x"]


def test_the_same_file_of_two_corpora_is_fetched_once():
    fetched = []
    run_jobs([Job(name, "url", lambda listen: fetched.append(1)) for name in "abc"], 2, ignore)
    assert fetched == [1]


def test_an_error_leaves_the_others_running():
    finished = []
    jobs = [job("a", failing(HashError("a: wrong"))), job("b", lambda listen: finished.append("b"))]
    with pytest.raises(HashError, match="a: wrong"):
        run_jobs(jobs, 1, ignore)
    assert finished == ["b"]


@pytest.mark.parametrize(("second", "kind"), [(OfflineError("b"), OfflineError), (HashError("b"), SourceError)])
def test_several_errors_are_told_together(second, kind):
    jobs = [job("a", failing(OfflineError("a"))), job("b", failing(second))]
    with pytest.raises(SourceError, match=r"^a\nb$") as caught:
        run_jobs(jobs, 2, ignore)
    assert type(caught.value) is kind


def test_other_exceptions_end_everything():
    started = []
    jobs = [job("a", failing(OSError("disk"))), job("b", lambda listen: started.append(1))]
    with pytest.raises(OSError, match="disk"):
        run_jobs(jobs, 1, ignore)
    assert not started


def test_an_interruption_stops_the_downloads():
    stopped = threading.Event()

    def run(listen):
        try:
            while True:
                listen(Progress("x", 1, None, "bytes"))
        finally:
            stopped.set()

    def interrupt(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs([job("a", run), job("b", run)], 2, interrupt)
    assert stopped.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("download-")]


def test_files_that_have_to_wait_are_measured_so_that_the_total_is_known():
    reports = []
    jobs = [Job(name, name, downloading(10), None, lambda: 10) for name in "abc"]
    run_jobs(jobs, 1, lambda report: reports.append(report))
    assert reports[-1].total == 30
    measured = []
    run_jobs([Job(name, name, downloading(10), None, lambda: measured.append(1)) for name in "ab"], 2, ignore)
    assert not measured


@pytest.mark.parametrize("given", ["0", "65", "many", "-1", "9" * 5000])
def test_a_bad_number_of_downloads_is_an_error(monkeypatch, given):
    monkeypatch.setenv("SEQLOOM_DOWNLOADS", given)
    with pytest.raises(SourceError, match="from 1 to 64"):
        parallel_downloads()


def test_a_file_that_was_in_the_cache_counts_as_done(tmp_path):
    (tmp_path / "f").write_bytes(b"x" * 7)
    reports = []
    run_jobs([job("a", lambda listen: tmp_path / "f"), job("b", downloading(10))], 2, reports.append)
    assert (reports[-1].done, reports[-1].total) == (17, 17)
