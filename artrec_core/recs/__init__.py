"""From vectors to tables: the exact top-K engine, strategies and the rows that are published."""
