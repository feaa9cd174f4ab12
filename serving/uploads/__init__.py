"""Uploaded clips: decoded in processes of their own, with bounds on memory, time and what they may touch."""
