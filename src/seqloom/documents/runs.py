"""Translate files: which output each has, what may be overwritten, and what a run that was killed has finished."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

from seqloom.documents.document import DocumentOptions, Translate, format_for, translate_document
from seqloom.documents.journal import Journal
from seqloom.documents.report import DocumentReport
from seqloom.errors import DocumentError, SeqloomError
from seqloom.files import write_bytes
from seqloom.formats.catalogue import format_of
from seqloom.progress import Listener, ignore

Existing = Literal["refuse", "replace", "update"]
"""What to do with an output that exists. To update it is to keep its translations and to add those that it lacks."""


class Job(NamedTuple):
    """A file to translate and where its translation goes."""

    document: Path
    output: Path


class Plan(NamedTuple):
    """The jobs of a run, and its journal beside the output."""

    jobs: list[Job]
    journal: Path
    ignored: int  # files in folders whose names suggest no format


class Outcome(NamedTuple):
    """What a run did. `reports` are of the documents that were translated, `faults` of those that could not be."""

    reports: list[DocumentReport]
    finished: int  # documents that an earlier run had finished
    faults: list[str]


def plan(documents: Sequence[Path], output: Path, format: str | None = None) -> Plan:
    """Return the jobs for files and folders. Files in folders keep their relative path; hidden ones are left out.

    A single file is written to `output`, or into it if it is a folder. Several, and folders, need a folder.

    Raises:
        DocumentError: a file does not exist or its format is unknown, or two files would have the same output.
    """
    several = len(documents) > 1 or any(each.is_dir() for each in documents)
    if several and output.exists() and not output.is_dir():
        raise DocumentError(f"{output}: is a file; several documents need a folder")
    into = several or output.is_dir()
    jobs, ignored = [], 0
    for each in documents:
        if each.is_dir():
            for path in _files(each, output):
                if format is None and format_of(path.name) is None:
                    ignored += 1
                else:
                    jobs.append(Job(path, output / path.relative_to(each)))
        elif not each.is_file():
            raise DocumentError(f"{each}: {'is not a regular file' if each.exists() else 'file not found'}")
        else:
            format_for(each.name, format)
            jobs.append(Job(each, output / each.name if into else output))
    if not jobs:
        raise DocumentError(f"{', '.join(map(str, documents))}: no file here has a name that suggests a format")
    outputs = Counter(job.output for job in jobs)
    for job in jobs:
        if outputs[job.output] > 1:
            raise DocumentError(f"{job.document}: another document would be written to {job.output} too")
    journal = output / ".seqloom.journal" if into else output.with_name(f".{output.name}.journal")
    return Plan(jobs, journal, ignored)


def run(
    planned: Plan,
    translate: Translate,
    journal: Journal,
    options: DocumentOptions,
    *,
    existing: Existing = "refuse",
    listen: Listener = ignore,
) -> Outcome:
    """Translate every document of a plan. An error in one does not stop the others.

    An output is written whole or not at all. One that exists is left alone if the journal says that it was written from
    the same document. The journal is removed if there was no error.
    """
    outcome = Outcome([], 0, [])
    for job in planned.jobs:
        try:
            content = job.document.read_bytes()
            source, earlier = hashlib.sha256(content).hexdigest(), None
            if job.output.exists() or job.output.is_symlink():
                if _is_finished(job, source, journal):
                    outcome = outcome._replace(finished=outcome.finished + 1)
                    continue
                if existing == "refuse":
                    raise DocumentError(f"{job.output}: exists; --force replaces it, --update keeps its translations")
                earlier = job.output.read_bytes() if existing == "update" else None
            remembering = journal.translating(translate, listen, job.document.name)
            done = translate_document(content, str(job.document), remembering, replace(options, earlier=earlier))
            write_bytes(job.output, done.content)
            journal.finish(str(job.output), source, hashlib.sha256(done.content).hexdigest())
            outcome.reports.append(done.report)
        except SeqloomError as error:
            outcome.faults.append(str(error))
        except OSError as error:
            outcome.faults.append(f"{error.filename or job.document}: {error.strerror or error}")
    if not outcome.faults:
        journal.remove()
    return outcome


def _is_finished(job: Job, source: str, journal: Journal) -> bool:
    try:
        written = hashlib.sha256(job.output.read_bytes()).hexdigest()
    except OSError:
        return False
    # In place, the document is what the run wrote.
    return written == journal.finished(str(job.output), source) or (
        job.output.samefile(job.document) and journal.wrote(str(job.output)) == written
    )


def _files(folder: Path, output: Path) -> Iterator[Path]:
    """Yield the files below a folder in the order of their names, without hidden ones and those of the output."""
    inside = output.resolve()
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and (inside == folder.resolve() or inside not in path.resolve().parents):
            yield path
