"""The embedded sample shop: turntable clips of made-up products, a simulated viewing log, and what made them."""
