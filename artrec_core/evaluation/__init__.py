"""Evaluation of models: tasks, baselines, metrics, reports and the promotion gate."""
