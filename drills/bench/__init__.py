"""The benchmarks: ``make bench``, or ``python -m drills.bench``. Each part is a module."""
