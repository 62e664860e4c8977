"""The notebook host."""
