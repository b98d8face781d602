"""The main job, shown from end to end: a Git repository becomes an image in a registry, and a pod runs it."""
