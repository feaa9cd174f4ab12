"""What stands between strangers and the shop: keys, limits, headers, and the last catch of errors."""
