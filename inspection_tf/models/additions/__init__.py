"""What is added to the graph of a trained network."""
