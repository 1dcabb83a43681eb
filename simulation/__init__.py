"""Histories in virtual time: the product's own decisions, steps and workflows against a world that fails.

See `docs/simulation.md` for what is modelled, from which sources, and what is not.
"""
