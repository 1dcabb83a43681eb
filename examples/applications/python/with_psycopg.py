"""The payments writer with psycopg alone: one session for each payer, opened again after a failure."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import psycopg
from connection import deadline, settings
from payments import PAY, Payment, run, values

session = threading.local()


def pay(payment: Payment) -> str:
    """Makes one attempt; after a failure the session is closed, and the next attempt looks for the writer."""
    connection: psycopg.Connection[Any] | None = getattr(session, "connection", None)
    if connection is None:
        connection = session.connection = psycopg.connect(**settings())
    try:
        with deadline(connection):
            row = connection.execute(PAY, values(payment)).fetchone()
    except psycopg.Error:
        session.connection = None
        with suppress(psycopg.Error):
            connection.close()
        raise
    assert row is not None
    return str(row[0])


if __name__ == "__main__":
    run(pay, psycopg.Error, OSError)
