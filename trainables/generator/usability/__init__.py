"""Whether a generated clip may be shown: recognisable, steady, neither blank nor saturated, and safe."""
