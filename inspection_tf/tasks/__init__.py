"""What a bundle can be for, one folder each."""
