"""Notices for people: what happened, where to look and what to do.

A notice goes to the log of the flow run, to scratch/notices.log and to the URLs in SEQLOOM_NOTIFY, which are separated
by spaces. Apprise reads them: a webhook is `jsons://host/path`, e-mail `mailtos://user:password@host?to=...`, Slack
`slack://...`. They may hold secrets and are never logged. If sending fails, that is logged and the flow goes on.
"""

import logging
import os
import warnings
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger

from seqloom.places import SCRATCH

SENT = SCRATCH / "last_notice"  # the key of the last notice that `notify_once` sent
LOG = SCRATCH / "notices.log"
URLS = "SEQLOOM_NOTIFY"


class Notice(NamedTuple):
    """A message to people."""

    title: str
    happened: str
    look: str  # where to look
    do: str  # what to do
    bad: bool = True

    def text(self) -> str:
        """Return the body, one paragraph per field that is not empty."""
        parts = [self.happened, f"Look at: {self.look}" if self.look else "", f"What to do: {self.do}"]
        return "\n\n".join(filter(None, parts))


def notify(root: Path, notice: Notice) -> bool:
    """Log the notice and send it to every URL; return whether all of them accepted it."""
    logger = _logger()
    try:
        with (root / LOG).open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S%z} {notice.title}\n{notice.text()}\n\n")
    except OSError as error:  # the notice may be about a full disk
        logger.warning("%s: %s", LOG, error.strerror)
    logger.log(logging.ERROR if notice.bad else logging.INFO, "%s\n%s", notice.title, notice.text())
    failed = _send(notice)
    for channel in failed:
        logger.warning("the notification could not be sent by %s", channel)
        print(f"warning: the notification could not be sent by {channel}", flush=True)
    return not failed


def notify_once(root: Path, key: str, notice: Notice) -> None:
    """Send the notice unless the last one sent by this function had the same key."""
    path = root / SENT
    if path.exists() and path.read_text(encoding="utf-8") == key:
        return
    if notify(root, notice):
        with suppress(OSError):
            path.write_text(key, encoding="utf-8")


def _send(notice: Notice) -> list[str]:
    """Return the schemes of the URLs that failed; the rest of a URL may be secret."""
    urls = os.environ.get(URLS, "").split()
    if not urls:
        return []
    import apprise  # takes a second, and most runs send nothing

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # its messages contain hosts and paths
    kind = apprise.NotifyType.FAILURE if notice.bad else apprise.NotifyType.INFO
    failed = []
    for url in urls:
        try:
            with warnings.catch_warnings():  # it imports deprecated modules
                warnings.simplefilter("ignore", DeprecationWarning)
                target = apprise.Apprise()
                sent = target.add(url) and target.notify(title=notice.title, body=notice.text(), notify_type=kind)
        except Exception:
            sent = False  # the exception may contain the URL
        if not sent:
            failed.append(
                f"{url.partition('://')[0]} of {URLS}" if "://" in url else f"a word in {URLS} that is not a URL"
            )
    return failed


def _logger() -> "logging.Logger | logging.LoggerAdapter[logging.Logger]":
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("seqloom")
