"""Reads PNG files, so that tests can compare pixels without another library."""

import struct
import zlib


class Pixels:
    """An 8-bit RGBA picture. ``rows``: a bytearray for each row, with four bytes for each pixel."""

    def __init__(self, png: bytes) -> None:
        self.chunks: dict[bytes, bytes] = {}
        offset = 8
        while offset < len(png):
            (length,) = struct.unpack(">I", png[offset : offset + 4])
            kind, data = png[offset + 4 : offset + 8], png[offset + 8 : offset + 8 + length]
            assert struct.unpack(">I", png[offset + 8 + length : offset + 12 + length])[0] == zlib.crc32(kind + data)
            self.chunks[kind] = self.chunks.get(kind, b"") + data
            offset += 12 + length
        self.width, self.height, depth, colour = struct.unpack(">IIBB", self.chunks[b"IHDR"][:10])
        assert (depth, colour) == (8, 6), "8-bit RGBA"
        self.rows = self._remove_filters(zlib.decompress(self.chunks[b"IDAT"]))

    def _remove_filters(self, raw: bytes) -> list[bytearray]:
        row_length = self.width * 4
        rows: list[bytearray] = []
        above = bytearray(row_length)
        for start in range(0, len(raw), row_length + 1):
            kind, row = raw[start], bytearray(raw[start + 1 : start + 1 + row_length])
            for n in range(row_length if kind else 0):
                left = row[n - 4] if n >= 4 else 0
                corner = above[n - 4] if n >= 4 else 0
                row[n] = (row[n] + _predict(kind, left, above[n], corner)) & 255
            rows.append(row)
            above = row
        return rows

    def crop(self, x: float, y: float, width: float, height: float) -> bytes:
        """Return the pixels in a box."""
        left, right = max(0, int(x)), min(self.width, int(x + width) + 1)
        return b"".join(bytes(row[left * 4 : right * 4]) for row in self.rows[max(0, int(y)) : int(y + height) + 1])


def _predict(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 1:
        return left
    if kind == 2:
        return up
    if kind == 3:
        return (left + up) // 2
    estimate = left + up - corner
    return min((left, up, corner), key=lambda value: abs(estimate - value))
