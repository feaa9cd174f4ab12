"""Which look a clip is shown in: a bandit that starts from taste, and what other choices would have brought."""
