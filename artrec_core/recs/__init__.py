"""Vectors to tables: exact top-K, strategies, reasons, baselines and metrics."""
