import shutil
import subprocess
from pathlib import Path

import pytest

from seqloom.training.energy import Energy, cpu_counters, gpu_counters, measure_energy

DRIVER = """
#include <string.h>
static unsigned long long used = 5000;
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) { *device = 0; return strcmp(uuid, "GPU-ab") != 0; }
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *energy) {
    *energy = used;
    used += 2500;
    return 0;
}
"""


def test_the_energy_of_a_cpu_is_correct_after_a_wraparound(tmp_path: Path) -> None:
    package, core = tmp_path / "intel-rapl:0", tmp_path / "intel-rapl:0:0"
    for folder in (package, core, tmp_path / "intel-rapl:1"):
        folder.mkdir()
    (package / "max_energy_range_uj").write_text("10000000\n")
    (package / "energy_uj").write_text("9000000\n")
    energy = Energy({"cpu": cpu_counters(tmp_path), "gpu": []})
    assert energy.used() == {"cpu": 0}
    (package / "energy_uj").write_text("2000000\n")
    assert energy.used() == {"cpu": 3}
    (package / "energy_uj").unlink()
    assert energy.used() == {"cpu": 3}


@pytest.mark.skipif(shutil.which("cc") is None, reason="builds a driver that is none")
def test_the_energy_of_a_gpu_comes_from_the_driver(tmp_path: Path) -> None:
    library = tmp_path / "nvml.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=DRIVER, text=True, check=True)
    energy = Energy({"gpu": gpu_counters(["ab", "no-such-one"], str(library))})
    assert energy.used() == {"gpu": 2}  # 2.5 joules
    assert energy.used() == {"gpu": 5}


def test_without_counters_the_result_is_empty(tmp_path: Path) -> None:
    assert gpu_counters(["ab"], "no-such-library.so") == []
    assert cpu_counters(tmp_path) == []
    assert "gpu" not in measure_energy([]).used()
