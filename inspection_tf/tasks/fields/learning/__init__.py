"""How the networks that locate a field are built and taught; what needs Keras of this task."""
