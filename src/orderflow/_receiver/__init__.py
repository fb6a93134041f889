"""Redirects, callbacks and notifications come in here."""
