"""A drawing as PNG, with resvg and the shipped font. The only module that knows resvg (extra ``diagrams``).

If resvg finds no font for a text, it leaves the text out and reports nothing. So only the shipped font is used, never one of the
system, and a character that the font lacks is refused.
"""

from __future__ import annotations

from orderflow._diagrams import font_metrics
from orderflow._distribution import describe_install
from orderflow.errors import ConfigurationError, InvalidInput

ZOOM = 1.5


def rasterise(flat_svg: str, texts: str, zoom: float = ZOOM) -> bytes:
    """Return a flat SVG as PNG, ``zoom`` times its size in pixels. ``texts``: all texts in it.

    Raises:
        ConfigurationError: the extra ``diagrams`` is not installed.
        InvalidInput: the shipped font lacks a character of the texts.
    """
    missing = font_metrics.find_missing(texts)
    if missing:
        raise InvalidInput("format", f"png: the shipped font has no {missing!r}; draw svg instead")
    try:
        import resvg_py  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(f"drawing png needs the extra: {describe_install('diagrams')}") from error
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=flat_svg,
            zoom=zoom,
            dpi=96.0,
            skip_system_fonts=True,
            font_files=font_metrics.list_font_files(),
            font_family=font_metrics.FAMILY,
        )
    )
