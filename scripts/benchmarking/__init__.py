"""Compare the chart's build executor with upstream's class, side by side on one cluster."""
