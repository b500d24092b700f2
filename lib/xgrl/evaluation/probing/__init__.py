"""How much language is left in each layer of an encoder, and what training moved."""
