"""What a product description asks for: kind, look, colour, scene and motion."""
