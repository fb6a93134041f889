"""A drawing as PNG, by resvg and the shipped font. The only place that knows resvg (extra ``diagrams``).

resvg leaves text out, without a word, where it finds no font: so the font is ours, the system's are not looked at, and a
character that ours lacks is refused.
"""

from __future__ import annotations

from orderflow.diagrams import metrics
from orderflow.errors import ConfigurationError, InvalidInput

ZOOM = 1.5


def rasterised(picture: str, said: str, zoom: float = ZOOM) -> bytes:
    """The PNG of a flat SVG, ``zoom`` times its size in pixels. ``said``: every text in it.

    Raises:
        ConfigurationError: the extra ``diagrams`` is not installed.
        InvalidInput: a text needs a character that the shipped font has not.
    """
    unknown = metrics.missing(said)
    if unknown:
        raise InvalidInput("format", f"png: the shipped font has no {unknown!r}; draw svg instead")
    try:
        import resvg_py  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError("drawing png needs the extra: pip install 'orderflow[diagrams]'") from error
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=picture, zoom=zoom, dpi=96.0, skip_system_fonts=True, font_files=metrics.font_files(), font_family=metrics.FAMILY
        )
    )
