"""Records, splits and checks of data sets; TensorFlow only in `loading`."""
