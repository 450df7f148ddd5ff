"""The end of a retraining: publish, write the report, and say what became of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from pipelines.cli_client import News
from pipelines.dag import Outcome
from pipelines.notify import Notice, notify_once
from pipelines.publish import Publication, PublishError, publish
from pipelines.summary import publish as publish_summary
from pipelines.supervision.final_states import where
from pipelines.tasks import step
from pipelines.verdict import Verdict

DO = {
    "Promoted": "nothing: whoever loads @champion has it; `seqloom rollback --because ...` takes it back",
    "NotPromoted": "nothing; `seqloom promote VERSION --because ...` makes it champion all the same",
}


def finish(
    root: Path, wanted: Publication, verdict: Verdict | None, news: News, outcomes: Sequence[Outcome]
) -> State[Any]:
    """Publish and report the result. Raises `PublishError` once everything else has been done."""
    if verdict is None:
        return Completed(message="done; dvc.yaml registers nothing", data=outcomes)
    failure: PublishError | None = None
    done: list[str] = []
    try:
        done = step("publish", publish, root, wanted, verdict.name, f"Keep {verdict}")
    except PublishError as error:
        failure = error
    published = [f"failed: {line}" for line in str(failure).splitlines()] if failure else done
    report = write(verdict, news, outcomes, published)
    create_markdown_artifact(key="retraining", markdown=report, description=str(verdict))
    publish_summary(root, outcomes, str(verdict))
    if failure:
        raise PublishError(f"{verdict}\n{failure}")
    name = "Promoted" if verdict.promoted else "NotPromoted"
    told = "\n".join([str(verdict), *done])
    notice = Notice(f"seqloom retrain: {name}", told, where(root), DO[name], bad=False)
    notify_once(root, f"{name} {verdict.name}", notice)
    return Completed(name=name, message=str(verdict), data=outcomes)


def write(verdict: Verdict, news: News, outcomes: Sequence[Outcome], published: Sequence[str]) -> str:
    """The report as Markdown."""
    lines = [f"# {verdict}", ""]
    lines += ["## New data", "", *(f"- {each}" for each in news.changed or ["none; an earlier run was finished"]), ""]
    lines += ["## The gate", "", verdict.told.strip(), ""]
    lines += ["## Stages", "", "| stage | what | minutes |", "|---|---|---|"]
    lines += [f"| {stage} | {what} | {seconds / 60:.1f} |" for stage, what, seconds in outcomes]
    lines += ["", "## Published", "", *(f"- {each}" for each in published or ["nothing was asked for"]), ""]
    return "\n".join(lines)
