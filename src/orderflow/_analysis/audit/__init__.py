"""Checking logs of observed statuses against a lifecycle. Pure, except for reading files and the temporary database of ended cases.

``CaseChecker`` says what each observation of an order is. ``CaseTracker`` follows the cases of a log, ``LogFile`` reads one, and
``Summary`` counts. ``check_arrays`` checks logs that are already numbers. Guide: docs/how-to/audit-logs.md.
"""

from orderflow._analysis.audit.arrays import ArrayResult, check_arrays
from orderflow._analysis.audit.automaton import WRONG, Classification, History, Missed
from orderflow._analysis.audit.checker import LEGAL, CaseChecker, CheckedStatus, Power
from orderflow._analysis.audit.files import DEFAULT_COLUMNS, Format, LogFile
from orderflow._analysis.audit.report import Summary, case_as_json, explain_status
from orderflow._analysis.audit.rows import Columns, LogRow, WrongRow
from orderflow._analysis.audit.tracker import CaseTracker, CheckedCase

__all__ = [
    "DEFAULT_COLUMNS", "LEGAL", "WRONG", "ArrayResult", "CaseChecker", "CaseTracker", "CheckedCase", "CheckedStatus", "Classification",
    "Columns", "Format", "History", "LogFile", "LogRow", "Missed", "Power", "Summary", "WrongRow", "case_as_json", "check_arrays",
    "explain_status",
]  # fmt: skip
