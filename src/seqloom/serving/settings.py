"""The settings of `seqloom serve`. They are options of the command, not of params.yaml: no result depends on them."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from seqloom.settings import Settings

Count = Annotated[int, Field(ge=1)]


class ServingSettings(Settings):
    """How the server listens, whom it admits, and how much it accepts."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)  # 0: any free one
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")  # valid names in the header Host; `*`: any
    origins: tuple[str, ...] = ()  # pages of these origins may call the API from a browser (CORS)

    keys: tuple[str, ...] = ()  # SHA-256 of each API key, in hexadecimal; empty: no key is needed
    key_rate: int = Field(default=0, ge=0)  # requests per minute and key; 0: unlimited
    address_rate: int = Field(default=0, ge=0)  # requests per minute and address; 0: unlimited

    characters: Count = 20_000  # in all texts of a request
    texts: Count = 1_000  # per request
    alternatives: int = Field(default=5, ge=0)  # the most additional translations of a text
    body_bytes: Count = 2_000_000  # of a request

    wait_ms: float = Field(default=5.0, ge=0)  # how long the first text of a batch waits for others
    batch_characters: Count = 4_000  # texts that are translated together
    queue_characters: Count = 400_000  # waiting texts; beyond, requests get status 429

    workers: int = Field(default=0, ge=0)  # processes that translate with each model; 0: this one

    poll_seconds: float = Field(default=2.0, gt=0)  # how often the registry is asked for its champion
    drain_seconds: Count = 30  # how long requests may take to end after SIGTERM

    drift_bound: float = Field(default=0.25, gt=0)  # the population stability index above which texts have drifted
    drift_minutes: float = Field(default=60.0, ge=0)  # for how long, before it is announced
    events: str | None = None  # URL of the Prefect API that gets an event then; None: nobody does

    corrections: Path | None = None  # the folder that suggestions are appended to; None: they are refused
    corrections_bytes: Count = 100_000_000  # the largest table of suggestions
    log_texts: bool = False  # write texts into the log
