"""The payments writer with SQLAlchemy's pool."""

from __future__ import annotations

import psycopg
from connection import deadline, settings
from payments import PAY, Payment, run, values
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

engine = create_engine(
    "postgresql+psycopg://",
    creator=lambda: psycopg.connect(**settings()),
    use_native_hstore=False,
    pool_size=4,
    max_overflow=0,
    pool_timeout=5,
    pool_recycle=300,
    pool_pre_ping=False,
    isolation_level="AUTOCOMMIT",
)


def pay(payment: Payment) -> str:
    """Makes one attempt; a session that breaks has SQLAlchemy give up all that are as old."""
    with engine.connect() as connection, deadline(connection.connection.driver_connection):  # type: ignore[arg-type]
        return str(connection.exec_driver_sql(PAY, values(payment)).scalar_one())


if __name__ == "__main__":
    run(pay, DBAPIError, PoolTimeoutError, OSError)
