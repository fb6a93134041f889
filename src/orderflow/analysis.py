"""Questions to a lifecycle, an order or a log. Pure, except for reading log files.

``check`` finds the problems of a table. ``explain_event`` says why an event is legal or not for an order. ``CaseChecker`` and
``CaseTracker`` compare logs of observed statuses with a table. Guide: docs/how-to/audit-logs.md.
"""

from orderflow._analysis.audit import (
    DEFAULT_COLUMNS,
    ArrayResult,
    CaseChecker,
    CaseTracker,
    CheckedCase,
    CheckedStatus,
    Classification,
    Columns,
    LogFile,
    LogRow,
    Summary,
    check_arrays,
)
from orderflow._analysis.check import Problem, Report, check
from orderflow._analysis.explain import Explanation, explain_event

__all__ = [
    "DEFAULT_COLUMNS",
    "ArrayResult",
    "CaseChecker",
    "CaseTracker",
    "CheckedCase",
    "CheckedStatus",
    "Classification",
    "Columns",
    "Explanation",
    "LogFile",
    "LogRow",
    "Problem",
    "Report",
    "Summary",
    "check",
    "check_arrays",
    "explain_event",
]
