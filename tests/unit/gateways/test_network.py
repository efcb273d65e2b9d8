"""Where a request comes from: what proxies say, and who is believed."""

import time

import pytest

from fire22.core.errors import AuthError
from fire22.gateways.network import HOPS_MAX, NetworkConfig, Networks, Seen

PROXY = "10.0.0.1"
XFF = "x-forwarded-for"


@pytest.mark.parametrize(
    ("peer", "value", "address"),
    [
        ("8.8.8.8", "1.1.1.1", "8.8.8.8"),  # no trusted proxy
        (PROXY, "1.1.1.1", "1.1.1.1"),
        (PROXY, "6.6.6.6, 1.1.1.1", "1.1.1.1"),  # the first one is the client's own invention
        (PROXY, "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
        (PROXY, "1.1.1.1, unknown, 10.0.0.2", "10.0.0.2"),
        (PROXY, "1.1.1.1:4711", "1.1.1.1"),
        (PROXY, "[2001:db8::1]:80", "2001:db8::1"),
        (PROXY, "::ffff:1.1.1.1", "1.1.1.1"),
        (PROXY, "", PROXY),
        (PROXY, "<script>", PROXY),
        ("::ffff:10.0.0.1", "1.1.1.1", "1.1.1.1"),
        (PROXY, "6.6.6.6" + ", 10.0.0.2" * (HOPS_MAX - 1), "6.6.6.6"),
        (PROXY, "6.6.6.6" + ", 10.0.0.2" * HOPS_MAX, "10.0.0.2"),  # further than anybody looks
    ],
)
def test_x_forwarded_for(peer: str, value: str, address: str) -> None:
    """Only trusted proxies are believed, and only what the last of them has appended."""
    networks = Networks(NetworkConfig(trusted_proxies=("10.0.0.0/24",)))
    assert networks.see(peer, {XFF: value, "forwarded": "for=7.7.7.7"}).address == address


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("for=1.1.1.1;proto=https", Seen("1.1.1.1", "https", False)),
        ('for=6.6.6.6, for="[2001:db8::1]:4711";proto=http', Seen("2001:db8::1", "http", False)),
        ('For="1.1.1.1" ; By=10.0.0.9;Proto=HTTPS, for=10.0.0.2', Seen("1.1.1.1", "https", False)),
        ('for="a,b;for=6.6.6.6", for=_hidden', Seen(PROXY, "", False)),
        ('for="1.1.1.1', Seen(PROXY, "", False)),
        ("for=1.1.1.1;for=6.6.6.6", Seen(PROXY, "", False)),
        ("proto=https for=1.1.1.1", Seen(PROXY, "", False)),
        (r'for="1.1.1\.1";ext="a\"b,\\";;proto=http;', Seen("1.1.1.1", "http", False)),
        ('for="6.6.6.6, for="[2001:db8::1]"', Seen("2001:db8::1", "", False)),  # a quote that the client left open
        ('for="6.6.6.6\\, for=1.1.1.1;proto="https"', Seen("1.1.1.1", "https", False)),
        ("for=6.6.6.6" + ", for=10.0.0.2" * (HOPS_MAX - 1), Seen("6.6.6.6", "", False)),
        ("for=6.6.6.6" + ", for=10.0.0.2" * HOPS_MAX, Seen("10.0.0.2", "", False)),
        ("a" * 9_000 + ', "' * 1_000 + ", for=1.1.1.1", Seen("1.1.1.1", "", False)),
        ("for=" + " " * 2_000 + "1.1.1.1", Seen(PROXY, "", False)),
    ],
)
def test_forwarded(value: str, seen: Seen) -> None:
    """`Forwarded` is read as RFC 7239 writes it, quoted or not, and `X-Forwarded-For` is not believed beside it."""
    networks = Networks(NetworkConfig(trusted_proxies=("10.0.0.0/24",), forwarded_header="forwarded"))
    assert networks.see(PROXY, {"forwarded": value, XFF: "7.7.7.7"}) == seen


@pytest.mark.parametrize("piece", ["a", " ", '\\"', '"', "\\", ",", ";", "a=", 'a="', '="', ", for=10.0.0.2", "[]:a"])
@pytest.mark.parametrize("header", ["forwarded", "x-forwarded-for"])
def test_long_lists_cost_nothing(header: str, piece: str) -> None:
    """Nobody holds up the server by a header of its greatest length, whatever stands in it."""
    config = NetworkConfig(trusted_proxies=("10.0.0.0/24",), forwarded_header=header)  # type: ignore[arg-type]
    networks, value = Networks(config), piece * (15_900 // len(piece))
    began = time.process_time()
    assert networks.see(PROXY, {header: value}).address in (PROXY, "10.0.0.2")
    assert time.process_time() - began < 0.25  # reading it costs about a millisecond; what is quadratic, seconds


@pytest.mark.parametrize(
    ("host", "may"),
    [
        ("localhost", True),
        ("LOCALHOST:8022", True),
        ("127.0.0.1:8022", True),
        ("[::1]", True),
        ("[::1]:8022", True),
        ("rebound.example:8022", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("127x0.0.1", False),
        ("", False),
    ],
)
def test_a_page_under_a_foreign_name_is_not_this_machine(host: str, may: bool) -> None:
    """A page whose name was made to lead to this machine (DNS rebinding) does not read how the server is."""
    assert Networks(NetworkConfig()).see("127.0.0.1", {"host": host}).is_operator is may
    assert Networks(NetworkConfig(operators=("10.9.0.0/16",))).see("10.9.9.9", {"host": host}).is_operator


@pytest.mark.parametrize(
    ("trusted", "peer", "headers", "may"),
    [
        ((), "127.0.0.1", {}, True),
        ((), "::1", {}, True),
        ((), "127.0.0.1", {XFF: "127.0.0.1"}, False),  # a proxy on this machine, trusted or not
        ((), "127.0.0.1", {"forwarded": "for=127.0.0.1"}, False),
        ((), "127.0.0.1", {"via": "1.1 proxy"}, False),
        (("127.0.0.1",), "127.0.0.1", {XFF: "127.0.0.1"}, False),
        (("127.0.0.1",), "127.0.0.1", {XFF: "1.1.1.1"}, False),
        (("127.0.0.1",), "127.0.0.1", {XFF: "10.9.9.9"}, True),
        (("127.0.0.1",), "127.0.0.1", {XFF: "nonsense"}, False),
        ((), "10.9.9.9", {}, True),
        ((), "10.9.9.9", {XFF: "10.9.9.9"}, False),
        ((), "8.8.8.8", {}, False),
        ((), "", {}, False),
    ],
)
def test_operators(trusted: tuple[str, ...], peer: str, headers: dict[str, str], may: bool) -> None:
    """This machine and the listed networks read how the server is; what a proxy passes on is judged by its client."""
    networks = Networks(NetworkConfig(trusted_proxies=trusted, operators=("10.9.0.0/16",)))
    assert networks.see(peer, {"host": "localhost:8022"} | headers).is_operator is may


def test_lists() -> None:
    """An address is refused by the deny list before the allow list, and a role from outside of its own networks."""
    config = NetworkConfig(
        allow=("10.0.0.0/8", "2001:db8::/32"), deny=("10.6.0.0/16",), roles={"admin": ("10.1.0.0/16",)}
    )
    networks = Networks(config)
    asked = ("10.0.0.1", "2001:db8::1", "10.6.0.1", "8.8.8.8", "")
    assert [networks.refusal(each) is None for each in asked] == [True, True, False, False, False]
    networks.check_role("risk", "8.8.8.8")
    networks.check_role("admin", "10.1.2.3")
    for address in ("10.2.0.1", ""):
        with pytest.raises(AuthError, match="admin may not"):
            networks.check_role("admin", address)


@pytest.mark.parametrize("wrong", [{"deny": ("10.0.0.1/8",)}, {"origins": ("office",)}, {"roles": {"a": ("x",)}}])
def test_wrong_values(wrong: dict[str, tuple[str, ...]]) -> None:
    """A network with bits beyond its mask, or what is no network or origin, is refused at the start."""
    with pytest.raises(ValueError, match=r"host bits|origin|appear"):
        NetworkConfig(**wrong)  # type: ignore[arg-type]
