"""A certificate authority of a test's own, and the certificates of servers that it issues."""

import datetime
import ssl
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


class Authority:
    """One authority.

    Args:
        folder: that its certificate and those of servers are written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._root = self._issue("Test authority", self._key, is_authority=True, days=1)
        self.file = folder / "authority.pem"
        self.file.write_bytes(self._root.public_bytes(Encoding.PEM))

    def pair(self, name: str, *, common: str = "127.0.0.1", days: float = 1) -> tuple[Path, Path]:
        """The files of a certificate for 127.0.0.1 and of its key.

        Args:
            name: of the files.
            common: name of its subject.
            days: until it ends.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._issue(common, key, is_authority=False, days=days)
        files = self._folder / f"{name}.pem", self._folder / f"{name}-key.pem"
        files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        files[1].touch(mode=0o600)
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files

    def client(self, shown: str = "", *, days: float = 1) -> ssl.SSLContext:
        """What a client trusts that trusts this authority alone.

        Args:
            shown: the common name of a certificate that it shows; empty shows none.
            days: until that ends.
        """
        context = ssl.create_default_context(cafile=self.file)
        if shown:
            context.load_cert_chain(*self.pair(f"client-{shown}", common=shown, days=days))
        return context

    def _issue(
        self, common: str, key: ec.EllipticCurvePrivateKey, *, is_authority: bool, days: float
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        issuer = _name(common) if is_authority else self._root.subject
        ends = now + datetime.timedelta(days=days)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(common))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(now, ends) - datetime.timedelta(days=1))
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if not is_authority:
            names = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, SHA256())
