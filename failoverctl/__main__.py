"""The command line: ``failoverctl``, or ``python -m failoverctl``."""

from __future__ import annotations

import gc

# A call makes some 100,000 objects that live as long as it does. Python would look through them again and again for
# some to throw away, which takes a tenth of the time that a person waits for `status`.
OBJECTS_BEFORE_A_LOOK = 200_000


def main() -> None:
    """Entry point of the console script."""
    gc.set_threshold(OBJECTS_BEFORE_A_LOOK)
    from failoverctl.program import app

    app()


if __name__ == "__main__":
    main()
