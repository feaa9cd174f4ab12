"""Evaluation protocols: how a log is split, what is asked, whom it is compared with, and how sure one can be."""
