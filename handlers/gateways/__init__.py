"""Thin access to AWS and PostgreSQL: one module per service, no decisions."""
