"""What the DAGs share: the operator that runs a job, the night's date, the recipes. Nothing here does a step's work."""
