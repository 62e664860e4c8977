"""Many pictures with classes: read, split into training and test, described."""
