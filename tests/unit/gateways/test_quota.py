"""Quotas: what each holder has."""

import pytest

from fire22.gateways.quota import Quota


def test_each_holder_for_itself() -> None:
    """A holder that has all it may is full, others are not, and what it gives back it may have again."""
    quota = Quota(2)
    for _ in range(2):
        assert not quota.is_full("a")
        quota.take("a")
    assert quota.is_full("a")
    assert not quota.is_full("b")
    quota.release("a")
    assert (quota.held("a"), quota.is_full("a")) == (1, False)
    quota.release("a")
    with pytest.raises(KeyError):
        quota.release("a")


def test_no_limit() -> None:
    """Without a limit nobody is ever full, and nothing is kept."""
    quota = Quota(0)
    for _ in range(5):
        quota.take("a")
        assert not quota.is_full("a")
    quota.release("a")
    assert quota.held("a") == 0
