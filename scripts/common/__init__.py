"""What all commands share: packages, an environment, a cache, errors and progress."""
