"""Thin access to AWS and PostgreSQL: one module a service, no decisions."""
