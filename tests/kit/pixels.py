"""Reading PNG in a few lines, so that tests can look at pixels without another library."""

import struct
import zlib


class Pixels:
    """An 8-bit RGBA picture. ``rows``: one bytearray a line, four bytes a pixel."""

    def __init__(self, png: bytes) -> None:
        self.chunks: dict[bytes, bytes] = {}
        at = 8
        while at < len(png):
            (length,) = struct.unpack(">I", png[at : at + 4])
            kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
            assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + data)
            self.chunks[kind] = self.chunks.get(kind, b"") + data
            at += 12 + length
        self.width, self.height, depth, colour = struct.unpack(">IIBB", self.chunks[b"IHDR"][:10])
        assert (depth, colour) == (8, 6), "8-bit RGBA"
        self.rows = self._unfiltered(zlib.decompress(self.chunks[b"IDAT"]))

    def _unfiltered(self, raw: bytes) -> list[bytearray]:
        wide = self.width * 4
        rows: list[bytearray] = []
        above = bytearray(wide)
        for start in range(0, len(raw), wide + 1):
            kind, row = raw[start], bytearray(raw[start + 1 : start + 1 + wide])
            for n in range(wide if kind else 0):
                left = row[n - 4] if n >= 4 else 0
                corner = above[n - 4] if n >= 4 else 0
                row[n] = (row[n] + _predicted(kind, left, above[n], corner)) & 255
            rows.append(row)
            above = row
        return rows

    def part(self, x: float, y: float, width: float, height: float) -> bytes:
        """The pixels of a box."""
        left, right = max(0, int(x)), min(self.width, int(x + width) + 1)
        return b"".join(bytes(row[left * 4 : right * 4]) for row in self.rows[max(0, int(y)) : int(y + height) + 1])


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 1:
        return left
    if kind == 2:
        return up
    if kind == 3:
        return (left + up) // 2
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))
