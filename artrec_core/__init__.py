"""What things mean: the data, the model and the recommendations. Knows nothing of Airflow."""
