"""Products of matrices that TensorFlow must not be asked for."""


def stacks_by_one_matrix(graph):
    """Return the products of a stack of matrices by one matrix for all, by name.

    With AVX-512, oneDNN reads beyond the stack there and the process may end (TensorFlow 2.21,
    oneDNN issue 4396); other processors show nothing of it.
    """
    found = []
    for operator in graph.get_operations():
        if operator.type.startswith("BatchMatMul"):
            first, second = (set(value.shape[:-2].as_list()) for value in operator.inputs)
            if second <= {1} and not first <= {1}:
                found.append(operator.name)
    return found
