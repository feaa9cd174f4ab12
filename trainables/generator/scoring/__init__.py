"""Measures of the generator on features that no loss, no discriminator and no gate ever sees."""
