"""The data section of a recipe: what each format has to be told."""
