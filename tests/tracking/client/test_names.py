import pytest

from seqloom.tracking.client.names import model_name
from seqloom.tracking.registry.versions import Reference, parse_reference


@pytest.mark.parametrize(
    ("task", "sources", "targets", "name"),
    [
        ("translation", ["en"], ["de"], "seqloom-en-de"),
        ("translation", ["en"], ["zh-Hans"], "seqloom-en-zh-Hans"),
        ("translation", ["en"], ["de", "fr", "es"], "seqloom-en-to-de-fr-es"),
        ("translation", ["de", "fr"], ["en"], "seqloom-de-fr-to-en"),
        ("translation", ["en", "de"], ["en", "de"], "seqloom-en-de-to-en-de"),
        ("summarization", ["en"], ["en"], "seqloom-summarization-en"),
        ("summarization", ["en"], ["de"], "seqloom-summarization-en-de"),
        ("generation", ["en"], ["en"], "seqloom-generation-en"),
    ],
)
def test_a_model_is_named_after_its_task_and_languages(
    task: str, sources: list[str], targets: list[str], name: str
) -> None:
    assert model_name(task, sources, targets) == name
    assert parse_reference(f"models:/{name}@champion") == Reference(name, alias="champion")
