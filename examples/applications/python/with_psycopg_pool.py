"""The payments writer with psycopg's own pool."""

from __future__ import annotations

import psycopg
from connection import deadline, settings
from payments import PAY, Payment, is_final, run, values
from psycopg_pool import ConnectionPool, PoolTimeout

pool = ConnectionPool(
    kwargs=settings,
    open=False,
    min_size=2,
    max_size=4,
    timeout=5,
    reconnect_timeout=1,
    max_lifetime=300,
)


def pay(payment: Payment) -> str:
    """Makes one attempt; after a failure that may be repeated no session of the pool is trusted any more."""
    try:
        with pool.connection() as connection, deadline(connection):
            row = connection.execute(PAY, values(payment)).fetchone()
    except psycopg.Error as error:
        if not is_final(error):
            pool.drain()
        raise
    assert row is not None
    return str(row[0])


if __name__ == "__main__":
    with pool:
        run(pay, psycopg.Error, PoolTimeout)
