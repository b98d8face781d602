"""The chart's build executor and upstream's class, side by side on one cluster: how long each takes for the same."""
