"""Convolution itself, step by step."""
