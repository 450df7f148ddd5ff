"""Prefect flows over the DAG of dvc.yaml. They orchestrate and nothing else: no torch, no MLflow, no model code.

Prefect reads its settings when it is imported, so they are given here, before any module of this package imports it.
What the environment already says is left alone.
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

TELEMETRY_OFF = {
    "DO_NOT_TRACK": "true",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}

for _name, _value in {
    **TELEMETRY_OFF,
    "PREFECT_HOME": str(ROOT / ".prefect"),  # its database stays in the clone
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",  # no server has to be started first
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # a busy machine may take its time
    # The stages speak for themselves; what Prefect says goes into its own log, with theirs.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
}.items():
    os.environ.setdefault(_name, _value)
