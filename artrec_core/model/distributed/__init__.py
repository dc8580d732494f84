"""Training on several workers: launching, DeepSpeed engines, checkpoints and GPU memory."""
