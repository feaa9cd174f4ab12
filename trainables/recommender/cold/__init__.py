"""Products nobody met yet: scores from content, in the terms of the item-item model."""
