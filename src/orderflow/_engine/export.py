"""Exports orders as JSON Lines to a file, for retention: durably, before anything is deleted."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import asdict

from orderflow.model import OrderHistory


def as_json(history: OrderHistory) -> dict[str, Any]:
    """``{"order": {...}, "journal": [...], "refusals": [...], "messages": [...]}``; times in epoch seconds, the order's data included.

    The journal begins with the order as it was created, and each row holds what its step set: so the order can be replayed from it.
    """
    order = asdict(history.order, recurse=False)
    snapshot = asdict(order.pop("snapshot"), recurse=False)
    return {
        "order": {**order, **snapshot},
        "journal": [asdict(row, recurse=False) for row in history.journal],
        "refusals": [asdict(row, recurse=False) for row in history.refusals],
        "messages": [asdict(row, recurse=False) for row in history.messages],
    }


class JsonLines:
    """Appends orders to a file, one a line, and returns when they are on the disk. The file is made readable to its owner only.

    A line that a crash cut off stays on a line of its own. Its order was not deleted, and is exported again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, orders: Sequence[OrderHistory]) -> None:
        """Append.

        Raises:
            OSError: the file cannot be written; part of the lines may stand in it.
        """
        lines = b"".join(json.dumps(as_json(order), separators=(",", ":")).encode() + b"\n" for order in orders)
        with open(self._path, "a+b", opener=_private) as file:
            if _is_torn(file):
                lines = b"\n" + lines
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(self._path.absolute().parent, os.O_RDONLY)  # that the file is there must be durable too
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _is_torn(file: Any) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) != b"\n")
