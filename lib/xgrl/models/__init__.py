"""The encoder, what stands on it, and the gradient reversal of the domain-adversarial arms."""
