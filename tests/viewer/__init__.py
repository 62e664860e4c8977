"""What the viewer's tests share."""
