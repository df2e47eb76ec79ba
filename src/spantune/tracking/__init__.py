"""MLflow: mirrors runs and studies. The run folder is complete without it."""
