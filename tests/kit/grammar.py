"""Grammars of what comes from outside: HTTP requests to the receiver, and answers of providers. Each case follows from its number.

Most of a case is as it should be, so that it gets far; some of it is what no standard allows. No test lives here.
"""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Sequence
from typing import Any

from attrs import frozen

ODD_TEXTS = (
    "",
    " ",
    "0",
    "-1",
    "1e999",
    "null",
    "\x00",
    "\ud800",
    "\u202e",
    "é",
    "𝄞",
    "%",
    "%00",
    "%zz",
    "../..",
    "a" * 9000,
    "'\"<>&;",
    "\r\nX: y",
)
JSON_TEXTS = (
    *ODD_TEXTS,
    "fulfilled",
    "Completed",
    "Canceled",
    "Processing",
    "OK",
    "ERROR",
    "14",
    "https://pay.example/14",
    "javascript:alert(1)",
)
NUMBERS = ("0", "-0", "14", "-1", "1.5", "1e400", "-1e-400", "9" * 30, "9" * 5000, "NaN", "Infinity", "true", "false", "null", "1E3")
FIELDS = (
    *("orderId", "fulfillmentStatus", "orders", "orderStatus", "externalOrderId", "customerNumber", "uniqueUserId", "isNewUser"),
    *("isPasswordSet", "exceptionType", "errorMessage", "access_token", "token_type", "expires_in", "error", "id", "status", "checkoutUrl"),
    *("externalReference", "orderAmount", "orderLines", "payUrl", "url", "", "é"),
)
STATUSES = (
    *[200] * 20,
    201,
    201,
    202,
    204,
    206,
    301,
    302,
    307,
    400,
    401,
    403,
    404,
    405,
    407,
    408,
    409,
    410,
    413,
    425,
    429,
    500,
    502,
    503,
    504,
)
ODD_STATUS_LINES = (
    b"HTTP/1.1 200",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 999 X",
    b"HTTP/1.1 099 X",
    b"HTTP/1.1 100 Continue",
    b"HTTP/2 200 OK",
    b"200 OK",
    b"",
)
USUAL_BODIES = (
    b'{"orderId": 14}',
    b'{"orderId": "14", "fulfillmentStatus": "OK"}',
    b'{"orderId": "14", "uniqueUserId": "u", "isNewUser": true, "isPasswordSet": false}',
    b'{"orders": [{"orderId": 14, "orderStatus": "fulfilled", "externalOrderId": "key", "customerNumber": 7}]}',
    b'{"orders": []}',
    b'{"id": 14, "status": "Completed", "externalReference": "key"}',
    b'{"orderId": "14", "orderStatus": "Processing"}',
    b'{"exceptionType": "OrderException", "errorMessage": "no such order"}',
)
CONTENT_TYPES = ("application/json", "application/json; charset=utf-16", "text/html", "application/xml", "", "\t", "a/b;" * 400)
WAITS = (
    "7",
    "0",
    "-1",
    "soon",
    "1.5",
    "9" * 400,
    "Wed, 21 Oct 2026 07:28:00 GMT",
    "Wed, 21 Oct 2026 07:28:00 -2460",
    "Mon, 99 Foo 0000",
    "²",
)
PLACES = ("/order/14", "https://api.example/order/14/", "?", "é", "", "/" * 3000, "order/%00", "http://h:99999/14", "//[", "http://[::1/14")
ENCODINGS = ("identity", "gzip", "deflate", "gzip, gzip", "br", "zstd", "x-unknown", "GZIP", ",")
METHODS = ("GET", "GET", "GET", "POST", "HEAD", "PUT", "OPTIONS", "get", "", "G\x00T", "é", "M" * 3000)


@frozen
class Answer:
    """One answer as bytes, and in which pieces they arrive. After them, the connection ends."""

    pieces: tuple[bytes, ...]


def make_json(rng: random.Random, depth: int = 0) -> str:
    """A JSON text, or nearly one."""
    kind = rng.random()
    if depth > 4 or kind < 0.3:
        return rng.choice(NUMBERS)
    if kind < 0.5:
        text = json.dumps(rng.choice(JSON_TEXTS), ensure_ascii=rng.random() < 0.5)
        return text if rng.random() < 0.95 else text[:-1]
    if kind < 0.6:
        return "[" + ",".join(make_json(rng, depth + 1) for _ in range(rng.randrange(4))) + "]"
    members = (f"{json.dumps(rng.choice(FIELDS))}:{make_json(rng, depth + 1)}" for _ in range(rng.randrange(6)))
    return "{" + ",".join(members) + "}"


def make_body(rng: random.Random) -> bytes:
    """The body of an answer."""
    if rng.random() < 0.4:
        body = bytearray(rng.choice(USUAL_BODIES))
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            body[rng.randrange(len(body))] = rng.randrange(256)
        return bytes(body)
    kind = rng.random()
    if kind < 0.7:
        body = make_json(rng).encode("utf-8", "surrogatepass")
        return body if rng.random() < 0.9 else b"\xef\xbb\xbf" + body[: rng.randrange(len(body) + 1)]
    if kind < 0.8:
        return rng.choice((b"<html><h1>Sign in</h1>", b"<?xml version='1.0'?><orderId>14</orderId>", b"  ", b"OK", b"orderId=14"))
    if kind < 0.85:
        return rng.choice((b"[", b'{"orders":')) * rng.choice((10, 50_000))
    return b"" if kind < 0.9 else rng.randbytes(rng.randrange(200))


def _encode(rng: random.Random, body: bytes, encoding: str) -> bytes:
    if rng.random() < 0.2:
        return body  # not what the header says
    for name in encoding.lower().replace(" ", "").split(","):
        body = gzip.compress(body, 1) if name == "gzip" else zlib.compress(body, 1) if name == "deflate" else body
    return body if rng.random() < 0.8 else body[: len(body) // 2]


def _frame(rng: random.Random, body: bytes) -> tuple[list[tuple[str, str]], bytes]:
    """How long the body is: a length, chunks, or until the connection ends; rightly or not."""
    kind = rng.random()
    if kind < 0.6:
        return [("Content-Length", str(len(body)))], body
    if kind < 0.7:
        lengths = (str(len(body) + 1), str(max(0, len(body) - 1)), "-1", "1e3", "9" * 30, "5, 5", " ")
        return [("Content-Length", rng.choice(lengths)) for _ in range(rng.choice((1, 1, 2)))], body
    if kind < 0.9:
        size = rng.choice(("%x", "%X", "0%x", "%x;a=b", "-%x", "%xg")) % len(body)
        chunks = size.encode() + b"\r\n" + body + b"\r\n" + rng.choice((b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"", b"zz\r\n"))
        return [("Transfer-Encoding", rng.choice(("chunked", "chunked", "gzip, chunked", "x")))], chunks
    return [], body


def make_headers(rng: random.Random) -> list[tuple[str, str]]:
    """Headers that decide something, and headers that nothing knows."""
    headers = [("Content-Type", rng.choice(CONTENT_TYPES))] if rng.random() < 0.9 else []
    for name, values, chance in (
        ("Retry-After", WAITS, 0.2),
        ("X-RateLimit-Reset", WAITS, 0.1),
        ("Date", WAITS, 0.3),
        ("Location", PLACES, 0.1),
    ):
        if rng.random() < chance:
            headers.append((name, rng.choice(values)))
    if rng.random() < 0.1:
        headers.append((rng.choice(("X-Odd", "Set-Cookie", "X Y", "", "Ünïcode", "X" * 5000)), rng.choice(ODD_TEXTS)))
    return headers


def make_answer(rng: random.Random) -> Answer:
    """An answer of a provider, of what stands before it, or of somebody else."""
    if rng.random() < 0.5:  # only status and body are odd
        body = make_body(rng)
        return Answer((b"HTTP/1.1 %d Reason\r\nContent-Length: %d\r\n\r\n" % (rng.choice(STATUSES), len(body)) + body,))
    if rng.random() < 0.02:
        return Answer((rng.randbytes(rng.randrange(300)),))
    status = f"HTTP/1.1 {rng.choice(STATUSES)} Reason".encode() if rng.random() < 0.95 else rng.choice(ODD_STATUS_LINES)
    headers, body = make_headers(rng), make_body(rng)
    if rng.random() < 0.2:
        encoding = rng.choice(ENCODINGS)
        headers.append(("Content-Encoding", encoding))
        body = _encode(rng, body, encoding)
    framing, body = _frame(rng, body)
    head = "".join(f"{name}: {value}\r\n" for name, value in (*headers, *framing)).encode("utf-8", "surrogatepass")
    whole = status + b"\r\n" + head + b"\r\n" + body
    if rng.random() < 0.05:
        whole = whole[: rng.randrange(len(whole) + 1)]
    cut = rng.randrange(len(whole) + 1)
    return Answer((whole[:cut], whole[cut:]) if rng.random() < 0.3 else (whole,))


def make_request(rng: random.Random, urls: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """The scope of a request to the receiver. ``urls``: paths of URLs that we signed; ``names``: providers and purposes."""
    path = rng.choice(urls) if rng.random() < 0.5 else "/" + "/".join(rng.choice((*names, *ODD_TEXTS)) for _ in range(rng.randrange(5)))
    if rng.random() < 0.4:
        place = rng.randrange(len(path) + 1)
        path = path[:place] + rng.choice(ODD_TEXTS) + path[place + rng.randrange(2) :]
    pairs = (f"{rng.choice(QUERY_NAMES)}={rng.choice(QUERY_VALUES)}" for _ in range(rng.choice((0, 1, 1, 2, 3, 120))))
    query = "&".join(pairs).encode("utf-8", "surrogatepass") if rng.random() < 0.9 else rng.randbytes(rng.randrange(100))
    headers = [(rng.randbytes(rng.randrange(6)), rng.randbytes(rng.randrange(20))) for _ in range(rng.randrange(3))]
    scope = {"type": "http", "method": rng.choice(METHODS), "path": path, "query_string": query, "headers": headers}
    if rng.random() < 0.03:
        scope["type"] = "websocket"
    if rng.random() < 0.05:
        del scope["query_string"]
    return scope | {"root_path": rng.choice(("", "/api", path)), "http_version": "1.1", "scheme": "http", "asgi": {"version": "3.0"}}


QUERY_NAMES = ("fulfillmentStatus", "status", "orderId", "error", "", "a[]", "é", "fulfillmentStatus[]")
QUERY_VALUES = ("success", "error", "cancel", "SUCCESS", "success%00", "14", *ODD_TEXTS)
