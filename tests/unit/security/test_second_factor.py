"""Codes of an app and recovery codes, and what becomes of a second factor that uses one."""

import string

import pyotp
import pytest

from fire22.security.second_factor import (
    RECOVERY_CODES,
    Factor,
    accepted_step,
    address_of,
    digest_of,
    new_recovery_codes,
    new_secret,
)

# RFC 6238, appendix B: the secret of its test vectors for SHA-1, and the last six digits of their codes.
SEED = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # pragma: allowlist secret
VECTORS = [
    (59, "287082"),
    (1111111109, "081804"),
    (1111111111, "050471"),
    (1234567890, "005924"),
    (2000000000, "279037"),
]


@pytest.mark.parametrize(("at_s", "code"), VECTORS)
def test_the_codes_are_those_of_the_standard(at_s: int, code: str) -> None:
    """Any app makes them."""
    assert accepted_step(SEED, code, after_step=0, now_ms=at_s * 1000) == at_s // 30


def test_a_clock_may_differ_by_one_step() -> None:
    """A code is good one step before and after its own, and no further."""
    code = pyotp.TOTP(SEED).generate_otp(100)
    good = [step for step in range(90, 110) if accepted_step(SEED, code, after_step=0, now_ms=step * 30_000)]
    assert good == [99, 100, 101]


def test_a_code_works_once() -> None:
    """Neither it nor one of an earlier step is good after it."""
    totp, now_ms = pyotp.TOTP(SEED), 100 * 30_000
    used = Factor(SEED).used(totp.generate_otp(100), now_ms=now_ms)
    assert used is not None and used.step == 100
    assert used.used(totp.generate_otp(100), now_ms=now_ms) is None
    assert used.used(totp.generate_otp(99), now_ms=now_ms) is None
    assert used.used(totp.generate_otp(101), now_ms=now_ms) is not None


def test_a_recovery_code_works_once() -> None:
    """As it is shown, or as somebody types it; the others stay."""
    codes = new_recovery_codes()
    factor = Factor(SEED, recovery=tuple(digest_of(code) for code in codes))
    used = factor.used(f" {codes[3].upper().replace('-', ' ')} ", now_ms=0)
    assert used is not None and len(used.recovery) == RECOVERY_CODES - 1
    assert used.used(codes[3], now_ms=0) is None
    assert used.used(codes[4], now_ms=0) is not None


ARABIC = "\u0661\u0662\u0663\u0664\u0665\u0666"


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", ARABIC, "-12345", "0" * 64])
def test_what_is_no_code(code: str) -> None:
    """It is refused, and nothing fails."""
    assert Factor(SEED).used(code, now_ms=0) is None


def test_without_a_secret_no_code_is_good() -> None:
    """Neither for who has none, nor for who has not confirmed one."""
    pending = Factor(pending=SEED)
    assert pending.used(pyotp.TOTP(SEED).generate_otp(100), now_ms=100 * 30_000) is None


def test_secrets_and_codes_are_random_and_long_enough() -> None:
    """160 bits in a secret, 80 in a recovery code, in what people can read."""
    assert len({new_secret() for _ in range(100)}) == 100
    assert all(len(new_secret()) == 32 for _ in range(10))
    codes = [code for _ in range(10) for code in new_recovery_codes()]
    assert len(set(codes)) == 10 * RECOVERY_CODES
    assert all(len(code.replace("-", "")) == 16 for code in codes)
    assert set("".join(codes)) <= set(string.ascii_lowercase + "234567-")


def test_secrets_come_from_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """From `secrets`, which is a CSPRNG, and from nothing that can be foretold."""
    asked: list[int] = []

    def bytes_of(count: int) -> bytes:
        asked.append(count)
        return b"\0" * count

    monkeypatch.setattr("secrets.token_bytes", bytes_of)
    assert new_secret() == "A" * 32
    assert set(new_recovery_codes()) == {"aaaa-aaaa-aaaa-aaaa"}
    assert asked == [20] + [10] * RECOVERY_CODES


def test_apps_read_the_address() -> None:
    """With the name of the user and of this program."""
    read = pyotp.parse_uri(address_of(SEED, "ann@example"))
    assert (read.secret, read.name, read.issuer) == (SEED, "ann@example", "Fire22 Flows")


def test_nothing_shows_the_secret() -> None:
    """Neither in a log nor in a traceback."""
    shown = repr(Factor(SEED, pending=SEED, recovery=(digest_of("x"),)))
    assert SEED not in shown and digest_of("x") not in shown
