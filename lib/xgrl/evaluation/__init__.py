"""What a trained model predicts, its official scores, and what its layers still show."""
