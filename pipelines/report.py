"""The end of a retraining: publish the result, write the report and send a notice."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from pipelines.cli_client import WatchResult
from pipelines.dag import StageResult
from pipelines.errors import PublishError
from pipelines.notify import Notice, notify_once
from pipelines.publish import Publication, publish
from pipelines.summary import write_artifact
from pipelines.supervision.final_states import where_to_look
from pipelines.tasks import step
from pipelines.verdict import Verdict

ADVICE = {
    "Promoted": "nothing: whoever loads @champion gets it; `seqloom rollback --because ...` undoes it",
    "NotPromoted": "nothing; `seqloom promote VERSION --because ...` makes it champion anyway",
}


def finish(
    root: Path, wanted: Publication, verdict: Verdict | None, news: WatchResult, results: Sequence[StageResult]
) -> State[Any]:
    """Publish and report the result. Raises `PublishError` once everything else has been done."""
    if verdict is None:
        return Completed(message="done; dvc.yaml registers nothing", data=results)
    failure: PublishError | None = None
    done: list[str] = []
    try:
        done = step("publish", publish, root, wanted, verdict.name, f"Keep {verdict}")
    except PublishError as error:
        failure = error
    published = [f"failed: {line}" for line in str(failure).splitlines()] if failure else done
    report = write(verdict, news, results, published)
    create_markdown_artifact(key="retraining", markdown=report, description=str(verdict))
    write_artifact(root, results, str(verdict))
    if failure:
        raise PublishError(f"{verdict}\n{failure}")
    name = "Promoted" if verdict.promoted else "NotPromoted"
    happened = "\n".join([str(verdict), *done])
    notice = Notice(f"seqloom retrain: {name}", happened, where_to_look(root), ADVICE[name], bad=False)
    notify_once(root, f"{name} {verdict.name}", notice)
    return Completed(name=name, message=str(verdict), data=results)


def write(verdict: Verdict, news: WatchResult, results: Sequence[StageResult], published: Sequence[str]) -> str:
    """Return the report as Markdown."""
    lines = [f"# {verdict}", ""]
    lines += [
        "## New data",
        "",
        *(f"- {each}" for each in news.changed or ["none; this run completed an earlier one"]),
        "",
    ]
    lines += ["## The gate", "", verdict.report.strip(), ""]
    lines += ["## Stages", "", "| stage | what | minutes |", "|---|---|---|"]
    lines += [f"| {stage} | {what} | {seconds / 60:.1f} |" for stage, what, seconds in results]
    lines += ["", "## Published", "", *(f"- {each}" for each in published or ["nothing was asked for"]), ""]
    return "\n".join(lines)
