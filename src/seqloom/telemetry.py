"""Switches off the telemetry of every library we run, unless the environment says otherwise.

Set these before the libraries are imported: they read them on import.
"""

import os
from collections.abc import Mapping

OFF: Mapping[str, str] = {
    "DO_NOT_TRACK": "true",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def switch_off() -> None:
    """Set each switch that the environment does not set already."""
    for name, value in OFF.items():
        os.environ.setdefault(name, value)
