"""The checks of `scripts/lint`."""
