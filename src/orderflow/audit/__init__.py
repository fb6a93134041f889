"""Judging logs of observed statuses against a lifecycle."""
