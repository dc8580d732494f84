"""Names that several commands read from a model version: tags that say what it was trained on, and one of its figures."""

HOLDOUT, REFIT, SETTINGS = "holdout", "refit", "settings"
# The figure with the settings of each baseline.
BASELINE_SETTINGS = "baseline_settings"
