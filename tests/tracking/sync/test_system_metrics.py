from seqloom.tracking.sync.system_metrics import measure, read_gpus


def test_a_machine_has_processors_and_memory() -> None:
    figures = measure()
    assert 0 <= figures["system/cpu_utilization_percentage"] <= 100
    assert 0 < figures["system/system_memory_usage_percentage"] <= 100


def test_a_gpu_says_what_it_counts() -> None:
    found = read_gpus("87, 1000, 4000, 250.5\n0, [N/A], 4000, [N/A]\nno GPU\n")
    assert found == {
        "system/gpu_0_utilization_percentage": 87, "system/gpu_0_memory_usage_megabytes": 1000,
        "system/gpu_0_memory_usage_percentage": 25, "system/gpu_0_power_usage_watts": 250.5,
        "system/gpu_1_utilization_percentage": 0,
    }  # fmt: skip
