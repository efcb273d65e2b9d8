"""Second factors: time-based codes (RFC 6238) of an app, and recovery codes on paper for who has lost it."""

import hashlib
import hmac
import secrets
from base64 import b32encode
from typing import Final

import msgspec
import pyotp
from msgspec import Struct

STEP_S: Final = 30
DIGITS: Final = 6
RECOVERY_CODES: Final = 10
RECOVERY_BYTES: Final = 10  # of chance in each: 80 bits, 16 characters
ISSUER: Final = "Fire22 Flows"


class Factor(Struct, frozen=True, omit_defaults=True):
    """The second factor of a user, as the store keeps it.

    Args:
        secret: of the app, in base 32; empty where there is no second factor.
        pending: a secret that no code has confirmed yet; it is asked for at no sign-in.
        step: the last time step of which a code was used.
        recovery: the digests of the recovery codes that are left.
    """

    secret: str = ""
    pending: str = ""
    step: int = 0
    recovery: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Factor(recovery codes: {len(self.recovery)})" if self.secret else "Factor()"

    def used(self, code: str, *, now_ms: int) -> "Factor | None":
        """What it becomes when a code of the app, or a recovery code, is used; None where the code is not good."""
        if not self.secret:
            return None
        step = accepted_step(self.secret, code, after_step=self.step, now_ms=now_ms)
        if step is not None:
            return msgspec.structs.replace(self, step=step)
        digest = digest_of(code)
        left = tuple(each for each in self.recovery if not hmac.compare_digest(each, digest))
        return msgspec.structs.replace(self, recovery=left) if len(left) < len(self.recovery) else None


def new_secret() -> str:
    """160 random bits in base 32, as apps take them."""
    return b32encode(secrets.token_bytes(20)).decode()


def address_of(secret: str, name: str) -> str:
    """The `otpauth:` address by which an app takes the secret of a user."""
    return pyotp.TOTP(secret, digits=DIGITS, interval=STEP_S).provisioning_uri(name=name, issuer_name=ISSUER)


def accepted_step(secret: str, code: str, *, after_step: int, now_ms: int) -> int | None:
    """The time step that a code is of, where it may be used; None where it may not.

    The steps before and after the present one count too, for clocks that differ. A step counts once: the caller keeps
    it, and the next code must be of a later one (RFC 6238, section 5.2).
    """
    digits = "".join(code.split())
    if len(digits) != DIGITS or not (digits.isascii() and digits.isdecimal()):
        return None
    totp = pyotp.TOTP(secret, digits=DIGITS, interval=STEP_S)
    now_step = now_ms // 1000 // STEP_S
    for step in (now_step - 1, now_step, now_step + 1):
        if step > after_step and hmac.compare_digest(totp.generate_otp(step), digits):
            return step
    return None


def new_recovery_codes() -> list[str]:
    """Codes of 80 random bits, in groups that one can read aloud."""
    codes = [b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)]
    return ["-".join(code[start : start + 4] for start in range(0, len(code), 4)) for code in codes]


def digest_of(code: str) -> str:
    """What is kept of a recovery code. Its bits are random, so a fast hash does."""
    return hashlib.sha256("".join(code.split()).lower().replace("-", "").encode()).hexdigest()
