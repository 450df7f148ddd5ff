from seqloom.tracking.sync.system_metrics import measure, read_gpus


def test_cpu_and_memory_are_measured() -> None:
    figures = measure()
    assert 0 <= figures["system/cpu_utilization_percentage"] <= 100
    assert 0 < figures["system/system_memory_usage_percentage"] <= 100


def test_values_that_a_gpu_does_not_measure_are_left_out() -> None:
    found = read_gpus("87, 1000, 4000, 250.5\n0, [N/A], 4000, [N/A]\nno GPU\n")
    assert found == {
        "system/gpu_0_utilization_percentage": 87, "system/gpu_0_memory_usage_megabytes": 1000,
        "system/gpu_0_memory_usage_percentage": 25, "system/gpu_0_power_usage_watts": 250.5,
        "system/gpu_1_utilization_percentage": 0,
    }  # fmt: skip
