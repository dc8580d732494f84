"""Tags of a model version that say what it was trained on."""

HOLDOUT, REFIT, SETTINGS = "holdout", "refit", "settings"
