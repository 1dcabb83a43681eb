"""Decisions of the failover: typed commands, results and pure functions, with no AWS in them."""
