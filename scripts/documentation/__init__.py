"""Pages that run: how the blocks of a page are read, checked against their kinds, run, compared, and recorded."""
