"""Writers: from what people said of results to a data set, and to files of labelling tools."""
