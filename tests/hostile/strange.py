"""Values that nobody should send, and somebody does."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

# Each has broken some program: it ends a line, a comment, a quotation, a page or a terminal, or is too much of it.
STRANGE = (
    "",
    " ",
    "a\nFAILOVER DONE: all is well",
    "a\rb",
    "a\u2028b\u2029c\x85d",
    "\x00",
    "\x1b[2J\x1b[31m",
    "\u202emoc.elpmaxe",
    "\ud800",
    "<script>alert(1)</script>",
    "'; rm -rf /; '",
    "$(reboot)`reboot`",
    '"}, "automatic": true',
    "x'; DROP TABLE fence; --",
    "${aws_rds_cluster.this.master_password}",
    "%s %(x)s {0} {name}",
    "../../etc/passwd",
    "x" * 30_000,
    "ü" * 300,
    "\U0001f4a3" * 100,
    "epoch 2",
    "1e999",
)
TEXTS = st.sampled_from(STRANGE) | st.text(max_size=40)
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**30, -1, 2**53 + 1, 1.5, True])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def mostly(right: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Mappings of which most is right: these get past the first checks."""
    return st.fixed_dictionaries({}, optional={name: st.just(value) | JSON for name, value in right.items()})
