"""The lab's certificates: for the names they were made for, trusted by one authority alone, the key private."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from drills.world.certificates import Certificates, create_certificates

NAMES = ["payments.cluster-lab.us-east-1.rds.amazonaws.com", "payments.cluster-ro-lab.us-east-1.rds.amazonaws.com"]


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return create_certificates(tmp_path, NAMES)


def connect(server: Certificates, authority: Path, name: str) -> None:
    """Shake hands in memory, as strictly as any client's library does; raise what the client raises."""
    trusting = ssl.create_default_context(cafile=authority)
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(server.certificate, server.key)
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(here, there, server_hostname=name)
    answering = serving.wrap_bio(there, here, server_side=True)
    for _ in range(3):
        for side in (client, answering):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.version() == "TLSv1.3"


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_verifies_chain_and_name_connects(certificates: Certificates, name: str) -> None:
    connect(certificates, certificates.authority, name)


def test_the_certificate_is_for_no_other_name(certificates: Certificates) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        connect(certificates, certificates.authority, "writer.payments.internal")


def test_no_other_authority_vouches_for_it(certificates: Certificates, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        connect(certificates, create_certificates(stranger, NAMES).authority, NAMES[0])


def test_the_key_is_readable_by_its_owner_alone(certificates: Certificates) -> None:
    assert certificates.key.stat().st_mode & 0o777 == 0o600
