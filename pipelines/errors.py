"""The errors of a flow that a person can fix. Their messages are shown without a traceback."""

from seqloom.exits import FAILED, TRY_LATER


class BusyError(Exception):
    """Another flow or DVC command is running in this clone."""


class CommandError(Exception):
    """A command of the package failed; the message is the command's own."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


class StageError(Exception):
    """A stage failed; the message is the stage's own."""

    def __init__(self, stage: str, reason: str, status: int) -> None:
        super().__init__(stage, reason, status)
        self.stage, self.reason, self.status = stage, reason, status

    def __str__(self) -> str:
        return f"{self.stage}: {self.reason}"


class OutOfBoundsError(Exception):
    """The new data differs from that of the last version by more than the bounds allow."""

    def __init__(self, message: str, digest: str) -> None:
        super().__init__(message, digest)
        self.digest = digest  # of every number compared, so that the same refusal is reported once

    def __str__(self) -> str:
        return str(self.args[0])


class PublishError(Exception):
    """The result is registered, but its push or its commit failed."""


def is_transient(error: BaseException) -> bool:
    """Return whether the exit status of a failure says that another try may succeed."""
    return getattr(error, "status", None) == TRY_LATER
