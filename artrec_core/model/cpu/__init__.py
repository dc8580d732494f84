"""Kernels and settings that speed up training and encoding on CPUs."""
