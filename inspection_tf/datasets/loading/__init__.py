"""From records to `tf.data`."""
