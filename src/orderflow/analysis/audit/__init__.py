"""Judging logs of observed statuses against a lifecycle: pure, but for reading files and the disk that ended cases go to.

``Judge(table)`` says what each observation of one order is; ``Cases`` follows the orders of a log; ``Source`` reads logs;
``tally`` judges arrays of ints; ``Summary`` counts. Start with README.md of this room.
"""

from orderflow.analysis.audit.arrays import Tally, codes, tally
from orderflow.analysis.audit.cases import Case, Cases, Seen, Where
from orderflow.analysis.audit.files import DEFAULTS, Format, Source
from orderflow.analysis.audit.judge import LEGAL, WRONG, Class, Judge, Judged, Power
from orderflow.analysis.audit.report import Summary, case_json, explained
from orderflow.analysis.audit.rows import Columns

__all__ = [
    "DEFAULTS", "LEGAL", "WRONG", "Case", "Cases", "Class", "Columns", "Format", "Judge", "Judged", "Power", "Seen", "Source", "Summary",
    "Tally", "Where", "case_json", "codes", "explained", "tally",
]  # fmt: skip
