"""How a network learns in which poses a part may lie: the half of the task that needs Keras."""
