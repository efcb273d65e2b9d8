"""The server's certificate: what a handshake is answered with, and how it is exchanged while the server runs."""

import ssl
import warnings
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from fire22.config import ServerConfig
from fire22.core.errors import SetupError
from fire22.security.certificate import Certificate, certificate_of
from tests.support.authority import Authority


def shake(certificate: Certificate, client: ssl.SSLContext) -> ssl.SSLObject:
    """The client's side after a whole handshake in memory, without a network.

    Raises:
        ssl.SSLError: one of the two refuses.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = certificate.context.wrap_bio(to_server, to_client, server_side=True)
    client_side = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    waiting = [client_side, server_side]
    while waiting:
        for side in tuple(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
    return client_side


def serial(certificate: Certificate, authority: Authority) -> object:
    """The serial number of the certificate that a client is shown."""
    shown = shake(certificate, authority.client()).getpeercert()
    assert shown is not None
    return shown["serialNumber"]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whom the clients trust."""
    return Authority(tmp_path)


def bounded(authority: Authority, least: ssl.TLSVersion, most: ssl.TLSVersion, ciphers: str = "") -> ssl.SSLContext:
    """A client that speaks these versions alone, however old."""
    client = authority.client()
    client.set_ciphers(ciphers or "ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.minimum_version, client.maximum_version = least, most
    return client


def test_versions(authority: Authority) -> None:
    """A client speaks TLS 1.2 or 1.3; older versions are refused by the server, whatever the client would take."""
    certificate = Certificate(*authority.pair("server"))
    versions = ssl.TLSVersion
    for version, name in ((versions.TLSv1_2, "TLSv1.2"), (versions.TLSv1_3, "TLSv1.3")):
        assert shake(certificate, bounded(authority, version, version)).version() == name
    with pytest.raises(ssl.SSLError):
        shake(certificate, bounded(authority, versions.TLSv1, versions.TLSv1_1))


def test_ciphers(authority: Authority) -> None:
    """Over TLS 1.2 there is forward secrecy and authenticated encryption, or no connection."""
    certificate = Certificate(*authority.pair("server"))
    only = ssl.TLSVersion.TLSv1_2
    for weak in ("ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "AES128-GCM-SHA256"):
        with pytest.raises(ssl.SSLError):
            shake(certificate, bounded(authority, only, only, weak))
    cipher = shake(certificate, bounded(authority, only, only)).cipher()
    assert cipher is not None
    assert cipher[0].startswith("ECDHE-") and ("GCM" in cipher[0] or "CHACHA20" in cipher[0])


def test_a_new_pair_is_taken(authority: Authority) -> None:
    """Clients that connect after a renewal are shown the new certificate."""
    certificate = Certificate(*authority.pair("server"))
    before = serial(certificate, authority)
    certificate.refresh()
    assert serial(certificate, authority) == before
    authority.pair("server")
    certificate.refresh()
    assert serial(certificate, authority) != before


@pytest.mark.parametrize("wrong", ["another's key", "half a file", "no file", "encrypted key"])
def test_a_wrong_pair_changes_nothing(authority: Authority, wrong: str, tmp_path: Path) -> None:
    """A renewal that went wrong refuses nobody, is in the log once, and is mended by the next good one."""
    files = authority.pair("server")
    certificate = Certificate(*files)
    before = serial(certificate, authority)
    if wrong == "another's key":
        files[1].write_bytes(authority.pair("other")[1].read_bytes())
    elif wrong == "half a file":
        files[0].write_bytes(files[0].read_bytes()[:200])
    elif wrong == "no file":
        files[1].unlink()
    else:
        files[1].write_text(_ENCRYPTED)
    with capture_logs() as lines:
        certificate.refresh()
        certificate.refresh()
    assert [line["log_level"] for line in lines] == ["warning"]
    assert serial(certificate, authority) == before
    authority.pair("server")
    certificate.refresh()
    assert serial(certificate, authority) != before
    authority.pair("other")
    with pytest.raises(SetupError, match="cannot be used"):
        Certificate(files[0], tmp_path / "other-key.pem")


def test_one_file_for_both(authority: Authority, tmp_path: Path) -> None:
    """A certificate and its key may come in one file; without a certificate there is no TLS."""
    both = tmp_path / "both.pem"
    both.write_bytes(b"".join(each.read_bytes() for each in authority.pair("server")))
    certificate = certificate_of(ServerConfig(tls_certificate=str(both)))
    assert certificate is not None
    assert serial(certificate, authority)
    assert certificate_of(ServerConfig()) is None


_ENCRYPTED = f"""-----BEGIN EC {"PRIVATE"} KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,00000000000000000000000000000000

AAAA
-----END EC PRIVATE KEY-----
"""
