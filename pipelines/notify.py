"""Tell people what happened, where to look and what to do: logs always, and whoever the environment names.

The logs are those of the flow run and scratch/notices.log.

SEQLOOM_NOTIFY holds URLs as Apprise reads them, separated by spaces: a webhook is `jsons://host/path`, e-mail
`mailtos://user:password@host?to=...`. SEQLOOM_NOTIFY_BLOCK holds a notification block of Prefect, `slack-webhook/ops`.
They may hold secrets and are never written anywhere. A notification that fails is noted, and nothing else fails for it.
"""

import logging
import os
import warnings
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from prefect.blocks.core import Block
from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger

TOLD = Path("scratch", "told")
LOG = Path("scratch", "notices.log")
URLS, BLOCK = "SEQLOOM_NOTIFY", "SEQLOOM_NOTIFY_BLOCK"


class Notice(NamedTuple):
    """What people are told, in the order in which they ask."""

    title: str
    happened: str
    look: str  # where to look
    do: str  # what to do
    bad: bool = True

    def text(self) -> str:
        """The body, a paragraph per question that has an answer."""
        parts = [self.happened, f"Look at: {self.look}" if self.look else "", f"What to do: {self.do}"]
        return "\n\n".join(filter(None, parts))


def notify(root: Path, notice: Notice) -> bool:
    """Log the notice and send it; whether everyone who should has got it."""
    logger = _logger()
    try:
        with (root / LOG).open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S%z} {notice.title}\n{notice.text()}\n\n")
    except OSError as error:  # a full disk may be what the notice is about
        logger.warning("%s: %s", LOG, error.strerror)
    logger.log(logging.ERROR if notice.bad else logging.INFO, "%s\n%s", notice.title, notice.text())
    failed = [*_through_apprise(notice), *_through_block(notice)]
    for channel in failed:
        logger.warning("the notification could not be sent by %s", channel)
        print(f"warning: the notification could not be sent by {channel}", flush=True)
    return not failed


def notify_once(root: Path, key: str, notice: Notice) -> None:
    """Send the notice unless the last one that was sent this way had the same key."""
    path = root / TOLD
    if path.exists() and path.read_text(encoding="utf-8") == key:
        return
    if notify(root, notice):
        with suppress(OSError):
            path.write_text(key, encoding="utf-8")


def _through_apprise(notice: Notice) -> list[str]:
    """The kinds of URLs that failed, which is all that may be said of them."""
    urls = os.environ.get(URLS, "").split()
    if not urls:
        return []
    import apprise  # a second that most runs need not pay

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it would write of hosts and paths
    kind = apprise.NotifyType.FAILURE if notice.bad else apprise.NotifyType.INFO
    failed = []
    for url in urls:
        try:
            with warnings.catch_warnings():  # it imports what Python has deprecated
                warnings.simplefilter("ignore", DeprecationWarning)
                target = apprise.Apprise()
                sent = target.add(url) and target.notify(title=notice.title, body=notice.text(), notify_type=kind)
        except Exception:
            sent = False  # its words may hold the URL
        if not sent:
            failed.append(f"{url.partition('://')[0]} of {URLS}" if "://" in url else f"what is no URL in {URLS}")
    return failed


def _through_block(notice: Notice) -> list[str]:
    name = os.environ.get(BLOCK)
    if not name:
        return []
    try:
        block: Any = Block.load(name)
        block.notify(body=notice.text(), subject=notice.title)
    except Exception:
        return [f"the block of {BLOCK}"]
    return []


def _logger() -> "logging.Logger | logging.LoggerAdapter[logging.Logger]":
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("seqloom")
