"""The values of the chart: their schema, and what is generated from it."""
