import pytest

from seqloom.errors import AccessError, ParamsError, RateError
from seqloom.serving.access import Access, hash_key, new_key, read_keys
from seqloom.serving.settings import ServingSettings


def access(now=None, **settings):
    return Access(ServingSettings(**settings), lambda: now[0] if now else 0.0)


def test_without_keys_everybody_is_admitted_under_a_name_that_hides_the_address():
    ours = access()
    assert ours.admit("10.0.0.1") == ours.admit("10.0.0.1", "any") != ours.admit("10.0.0.2")
    assert "10.0" not in ours.admit("10.0.0.1")


def test_clients_with_keys_are_named_by_key():
    ours = access(keys=(hash_key("a"), hash_key("b")))
    assert ours.admit("10.0.0.1", "a") == ours.admit("10.0.0.2", "a") != ours.admit("10.0.0.1", "b")


@pytest.mark.parametrize(("key", "message"), [(None, "needed"), ("", "needed"), ("c", "not valid"), ("\udcff", "not")])
def test_other_keys_are_refused(key, message):
    with pytest.raises(AccessError, match=message):
        access(keys=(hash_key("a"),)).admit("10.0.0.1", key)


def test_an_address_that_sends_too_much_must_wait():
    now = [0.0]
    ours = access(now, address_rate=2)
    ours.admit("a")
    ours.admit("a")
    with pytest.raises(RateError, match="this address may send 2 requests per minute") as caught:
        ours.admit("a")
    assert caught.value.retry_after == 30.0
    ours.admit("b")
    now[0] = 29.0
    with pytest.raises(RateError) as caught:
        ours.admit("a")
    assert caught.value.retry_after == pytest.approx(1.0)
    now[0] = 30.0
    ours.admit("a")


def test_the_rate_of_a_key_counts_over_all_addresses():
    ours = access(keys=(hash_key("k"),), key_rate=1)
    ours.admit("a", "k")
    with pytest.raises(RateError, match="this key"):
        ours.admit("b", "k")


def test_guesses_count_for_the_address():
    ours = access(keys=(hash_key("k"),), address_rate=1)
    with pytest.raises(AccessError):
        ours.admit("a", "guess")
    with pytest.raises(RateError):
        ours.admit("a", "k")


def test_keys_are_read_from_a_file_and_the_environment(tmp_path):
    key = new_key()
    file = tmp_path / "keys"
    file.write_text(f"# keys\n\n{hash_key(key)}  # weblate\n{hash_key('x')}\n")
    assert read_keys(file, {"SEQLOOM_KEYS": f"{hash_key('y')} {hash_key('x')}"}) == tuple(
        map(hash_key, ["y", "x", key])
    )
    assert read_keys(None, {}) == ()


def test_a_key_in_place_of_its_hash_is_refused_and_not_repeated(tmp_path):
    file = tmp_path / "keys"
    file.write_text("\nmy-secret\n")
    with pytest.raises(ParamsError, match="line 2: is not the SHA-256 of a key") as caught:
        read_keys(file, {})
    assert "my-secret" not in str(caught.value)
