"""The gates: checks of tables between the steps, as Great Expectations suites in Python."""
