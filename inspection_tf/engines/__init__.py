"""What runs one network."""
