"""The gates between the steps, as Great Expectations suites written in Python."""
