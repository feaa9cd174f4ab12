"""The conditional video GAN: networks, losses, the adversarial loop, bundles."""
