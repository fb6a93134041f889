"""Pictures and tables of a lifecycle, and of an order on it, drawn from the compiled table: the same bytes every time.

``draw`` folds a table into a neutral drawing, ``walk`` puts an order's path on it, ``render`` makes it a file's contents in
any of ``FORMATS``, ``write`` and ``stale`` keep files, ``describe`` is the table as plain data. What may live in this room:
writers of formats, geometry, the font; no I/O beyond files.py and layout.py, no provider. Guide: README.md.
"""

from orderflow.diagrams.describe import describe, digest
from orderflow.diagrams.files import stale, write
from orderflow.diagrams.formats import FORMATS, KEPT, render
from orderflow.diagrams.model import Drawing, draw
from orderflow.diagrams.walk import Walk, walk

__all__ = ["FORMATS", "KEPT", "Drawing", "Walk", "describe", "digest", "draw", "render", "stale", "walk", "write"]
