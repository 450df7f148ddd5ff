"""Translations that repeat themselves more than their source."""

import pytest

from seqloom.translation.looping import loops


@pytest.mark.parametrize(
    ("source", "translation"),
    [
        ("The discovered charger", "Das entdeckte entdeckte entdeckte entdeckte Ladegerät"),
        ("OFF", "OFF OFF OFF OFFEN"),
        (
            "site can no longer be found",
            "kann nicht mehr gefunden werden " * 3,
        ),
        ("a, b", "um das Problem zu beheben, um das Problem zu lösen, um das Problem zu beenden"),
        ("Code", "Ververververververver"),
        ("Licht", "打开灯打开灯打开灯"),
        ("port 8088", "88888888888888888888"),
    ],
)
def test_loops_are_found(source, translation):
    assert loops(source, translation)
    assert loops(source.upper(), translation.upper())


@pytest.mark.parametrize(
    ("source", "translation"),
    [
        ("Turn on the light", "Schalte das Licht ein"),
        ("no, no, no, no", "nein, nein, nein, nein"),
        ("very very good", "sehr sehr gut"),
        ("1.000.000.000.000", "1,000,000,000,000"),
        ("----------------", "----------------"),
        ("Aaaaaaaaaaaaaah!", "Aaaaaaaaaaaaaah!"),
        ("A: {a}, B: {b}, C: {c}, D: {d}", "A: {a}, B: {b}, C: {c}, D: {d}"),
        ("", ""),
        ("打开打开", "auf, auf"),
    ],
)
def test_repetition_in_the_source_is_not_a_loop(source, translation):
    assert not loops(source, translation)
