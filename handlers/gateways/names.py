"""Names of DNS, asked of the resolver that a function outside the VPC has: clients do not share what that one keeps."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor


def has_address(name: str, within_s: float) -> bool:
    """Returns whether a public name has an address; one of which nobody says that it has none, has one.

    A resolver that does not answer is waited for for ``within_s`` seconds: the system's own patience is longer than a
    step's.
    """
    asked = ThreadPoolExecutor(1).submit(socket.getaddrinfo, name, None)
    try:
        asked.result(within_s)
    except TimeoutError:
        return True
    except socket.gaierror as error:
        return error.errno == socket.EAI_AGAIN
    return True
