"""Helpers of `embed`, and of other commands that need its text vectors."""
