"""Pictures and tables of a lifecycle, drawn from its compiled table: pure text, the same bytes every time.

``draw`` folds a table into a neutral drawing, ``mermaid`` and ``markdown`` turn table and drawing into text,
``files`` writes them and says what is stale, ``describe`` is the table as plain data. What may live in this room:
text made of tables; no layout engine, no I/O beyond files.py, no provider.
"""

from orderflow.diagrams.describe import describe, digest
from orderflow.diagrams.files import FORMATS, render, stale, write
from orderflow.diagrams.model import Drawing, draw

__all__ = ["FORMATS", "Drawing", "describe", "digest", "draw", "render", "stale", "write"]
