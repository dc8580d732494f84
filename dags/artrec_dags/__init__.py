"""What the DAGs share: the operator that runs a job, the night's date, the recipes. No step's work is done here."""
