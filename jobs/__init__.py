"""One command a step: read, call core, write."""
