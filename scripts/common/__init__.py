"""What a command needs of the machine it runs on: packages, an environment, a cache, and words for the person."""
