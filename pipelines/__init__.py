"""Prefect flows over the DAG of dvc.yaml. They only orchestrate, and import neither torch nor MLflow nor model code.

Prefect reads its settings when it is imported, so they are set here, before any module of this package imports it.
Variables that are already in the environment keep their values.
"""

import os
from pathlib import Path

from seqloom import telemetry

ROOT = Path(__file__).resolve().parents[1]

telemetry.switch_off()
for _name, _value in {
    "PREFECT_HOME": str(ROOT / ".prefect"),  # its database stays in the clone
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",  # no server has to be started first
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # for a busy machine
    # The stages write to the screen; Prefect's own messages go into its log, together with theirs.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
}.items():
    os.environ.setdefault(_name, _value)
