"""Pictures and tables of a lifecycle, and of an order on it. All are made from the compiled table, with the same bytes every time.

``build_drawing`` makes a drawing of a table, and ``trace_order`` finds an order's path on it. ``render`` makes the contents of a file
in any of ``FORMATS``. ``write_files`` writes files, ``find_stale`` checks them. ``describe`` returns the table as plain data.

Only ``files`` and ``layout`` do I/O. No module knows a provider. Guide: docs/how-to/draw-diagrams.md.
"""

from orderflow._diagrams.describe import compute_digest, describe
from orderflow._diagrams.drawing import Drawing, build_drawing
from orderflow._diagrams.files import find_stale, write_files
from orderflow._diagrams.formats import DEFAULT_FORMATS, FORMATS, render
from orderflow._diagrams.order_path import OrderPath, trace_order

__all__ = [
    "DEFAULT_FORMATS",
    "FORMATS",
    "Drawing",
    "OrderPath",
    "build_drawing",
    "compute_digest",
    "describe",
    "find_stale",
    "render",
    "trace_order",
    "write_files",
]
