"""Clip → the same clip, cleaner, sharper, twice as large where wanted, relit where wanted."""
