"""Benchmarks: one file an area, ``bench_<area>.py``, each with ``run() -> list[dict]``.

``python -m tests.benchmarks`` runs all, ``python -m tests.benchmarks decide`` one.
"""
