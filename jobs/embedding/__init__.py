"""Helpers of `embed`, and of whoever needs its text vectors."""
