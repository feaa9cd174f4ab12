"""Mend clips: holes, logos, scratches, lost frames."""
