from tests.formats.conftest import Reader

TEXT = Reader("moses")


def test_every_line_is_a_unit_and_keeps_its_number():
    units = TEXT.units("one\r\n\n \nfour")
    assert [(unit.key, unit.source) for unit in units] == [("1", "one"), ("2", ""), ("3", " "), ("4", "four")]


def test_a_translation_stays_on_one_line():
    assert TEXT.written("one\r\ntwo\n", {"1": "eins\nzwei", "2": "drei"}) == b"eins zwei\r\ndrei\n"
