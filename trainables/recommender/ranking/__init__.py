"""The impression ranker: calibrated chances of a click and a long view, and the watch time to expect."""
