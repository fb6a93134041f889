"""Two parts of the policy for every HTTP request of ours: no URL or header in a log, and no body that expands without bound.

Without cookies, redirects and settings from the environment is the client itself: ``make_client`` in http.py.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks")
_quiet: ContextVar[bool] = ContextVar("orderflow_quiet_http_logs", default=False)


# ── logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Without log records of the HTTP library: they show URLs and headers, which may hold secrets. Other users of it log as before."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def _is_shown(_record: logging.LogRecord) -> bool:
    return not _quiet.get()


for _name in _LOGGERS:  # a filter of a logger does not hold for its children
    logging.getLogger(_name).addFilter(_is_shown)


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def decode_body(body: bytes, encoding: str, limit: int) -> tuple[bytes, bool]:
    """A body without its ``Content-Encoding``, and whether it is whole. It never expands beyond ``limit + 1`` bytes; there it is cut off.

    We ask for no encoding, but some servers compress whatever was asked for. One layer of gzip or deflate is understood. A body with
    another encoding, or with several, is returned as it came, and so is a damaged one.
    """
    if encoding in ("", "identity") or not body:
        return body, True
    if encoding in ("gzip", "x-gzip", "deflate"):
        for form in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):  # gzip or zlib; some servers send deflate without its envelope
            decompressor = zlib.decompressobj(form)
            try:
                return decompressor.decompress(body, limit + 1), decompressor.eof
            except zlib.error:
                continue
    return body, False
