"""The registry that images are pushed to: its login, and the question whether it has an image."""
