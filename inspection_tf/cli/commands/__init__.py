"""The commands of `inspection`, one file each."""
