"""Rows of the tables that are published, made from a run's data and its strategies."""
