"""Pascal VOC: an XML file for each image, with a named box around each object in it."""
