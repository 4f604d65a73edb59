"""Ways to spoil an ONNX network on purpose."""


def external(proto):
    tensor = proto.graph.initializer[0]
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../outside/canary.npy"


def external_flag(proto):
    proto.graph.initializer[0].data_location = 1


def external_constant(proto):
    node = proto.graph.node.add(op_type="Constant", output=["extra"])
    attribute = node.attribute.add(name="value", type=4)
    entry = attribute.t.external_data.add()
    entry.key, entry.value = "location", "/etc/hostname"


def external_in_branch(proto):
    node = proto.graph.node.add(op_type="If", output=["extra"])
    branch = node.attribute.add(name="then_branch", type=5)
    branch.g.initializer.add(data_location=1)


def external_sparse(proto):
    proto.graph.sparse_initializer.add().values.data_location = 1


def external_in_function(proto):
    node = proto.functions.add(name="f", domain="ai.onnx").node.add(op_type="Constant")
    node.attribute.add(name="value", type=4).t.data_location = 1


def foreign_operator(proto):
    proto.graph.node[-1].domain = "evil.example"


def foreign_import(proto):
    proto.opset_import.add(domain="com.example", version=1)


def foreign_function(proto):
    proto.functions.add(name="f", domain="com.example")


def foreign_in_branch(proto):
    node = proto.graph.node.add(op_type="If", output=["extra"])
    node.attribute.add(name="else_branch", type=5).g.node.add(op_type="X", domain="x")


def nested_graphs(proto):
    graph = proto.graph
    for _ in range(60):
        graph = graph.node.add(op_type="If").attribute.add(name="a", type=5).g


def marked(proto):
    # producer_name is written first: key, length, then bytes 4 to 8 of the file.
    proto.ClearField("ir_version")
    proto.producer_name = "..ORTM"
