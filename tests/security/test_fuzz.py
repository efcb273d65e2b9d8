"""A short run of `make fuzz`, and that it finds what it looks for."""

import pytest

from tests.security.fuzz import Decoder, Finding, attack, decoders

DECODERS = decoders()


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_keeps_its_promises(name: str) -> None:
    """Whatever bytes come, there is an answer or the error that callers expect."""
    for seed in range(400):
        attack(name, DECODERS[name], seed)


@pytest.mark.parametrize("name", DECODERS)
def test_what_is_damaged_was_good(name: str) -> None:
    """An attack that begins with what is refused at once would find nothing."""
    for good in DECODERS[name].good:
        DECODERS[name].read(good)


def test_a_broken_promise_is_found() -> None:
    """An error that no caller expects is a finding, with the seed that makes it again."""
    with pytest.raises(Finding, match=r"broken, seed 0: .*ZeroDivisionError"):
        attack("broken", Decoder(lambda _: 1 // 0, (ValueError,), (b"x",)), 0)
