"""A throw-away certificate authority and the databases' server certificate.

It stands in for the RDS certificate authority: clients verify the chain and the name (``verify-full``), and the
certificate carries the cluster endpoints' names, not the writer name, as on RDS.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ORGANIZATION = "Failover drill"


@dataclass(frozen=True)
class Certificates:
    """Files in PEM form: the authority that clients trust, the server's certificate and its key."""

    authority: Path
    certificate: Path
    key: Path


def create_certificates(folder: Path, names: Sequence[str]) -> Certificates:
    """Creates an authority and one server certificate for ``names`` (DNS names), and writes them to ``folder``.

    The authority's key is thrown away; the server's key is readable by its owner only.
    """
    authority = trustme.CA(organization_name=ORGANIZATION, organization_unit_name="certificate authority")
    server = authority.issue_cert(*names, organization_name=ORGANIZATION, organization_unit_name="database")
    files = Certificates(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    authority.cert_pem.write_to_path(files.authority)
    files.certificate.write_bytes(b"".join(part.bytes() for part in server.cert_chain_pems))
    _write_private(files.key, server.private_key_pem.bytes())
    return files


def _write_private(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
