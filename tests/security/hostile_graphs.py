"""ONNX files that a ranker's graph must not be, made with the onnx package from a graph that is all right."""

import onnx
from onnx import TensorProto, helper

from tests.serving.made import sines

PATHS = ["../x", "/etc/hostname", "link", "hard", "plain.bin"]
"""Where data outside of the file is said to be: above the folder, elsewhere, behind links, and in the folder itself."""


def model():
    """Give a graph that scores."""
    return onnx.load_from_string(sines())


def external(location="../x", **more):
    """Give a tensor whose numbers are said to be in another file."""
    tensor = TensorProto(name="outside", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def in_initializer(tensor):
    """Put a tensor among the weights."""
    made = model()
    made.graph.initializer.append(tensor)
    return made


def in_sparse(tensor):
    """Put a tensor among the sparse weights."""
    made = model()
    made.graph.sparse_initializer.add(values=tensor, dims=[1])
    return made


def in_attribute(tensor):
    """Put a tensor into an attribute of a node."""
    made = model()
    made.graph.node.insert(0, helper.make_node("Constant", [], ["outside"], value=tensor))
    return made


def in_list(tensor):
    """Put a tensor into a list of an attribute."""
    made = model()
    node = helper.make_node("Constant", [], ["outside"])
    node.attribute.append(helper.make_attribute("values", [tensor], attr_type=onnx.AttributeProto.TENSORS))
    made.graph.node.insert(0, node)
    return made


def body(*nodes, tensors=()):
    """Make the graph inside of a node."""
    output = helper.make_tensor_value_info("outside", TensorProto.FLOAT, [1])
    return helper.make_graph(list(nodes), "inner", [], [output], list(tensors))


def in_branch(tensor):
    """Put a tensor into a branch of an If, two deep."""
    made = model()
    deep = helper.make_node(
        "If", ["yes"], ["outside"], then_branch=body(tensors=[tensor]), else_branch=body()
    )
    node = helper.make_node("If", ["yes"], ["outside"], then_branch=body(deep), else_branch=body())
    made.graph.node.insert(0, node)
    return made


def in_loop(tensor):
    """Put a tensor into the body of a Loop."""
    made = model()
    made.graph.node.insert(0, helper.make_node("Loop", ["", ""], [], body=body(tensors=[tensor])))
    return made


def in_function(tensor):
    """Put a tensor into a function of the file's own."""
    made = model()
    node = helper.make_node("Constant", [], ["outside"], value=tensor)
    function = helper.make_function("own", "F", [], ["outside"], [node], [helper.make_opsetid("", 18)])
    made.functions.append(function)
    return made


def in_training(tensor):
    """Put a tensor into what initialises a training."""
    made = model()
    made.training_info.add().initialization.CopyFrom(body(tensors=[tensor]))
    return made


HIDDEN = [in_initializer, in_sparse, in_attribute, in_list, in_branch, in_loop, in_function, in_training]


def operator(domain, name, *, imported=True, **attributes):
    """Give a graph with one more operator."""
    made = model()
    if imported:
        made.opset_import.append(helper.make_opsetid(domain, 1))
    made.graph.node.insert(0, helper.make_node(name, ["input_ids"], ["more"], domain=domain, **attributes))
    return made


def endless():
    """Give a graph with a loop that does not end."""
    yes = helper.make_tensor_value_info("yes", TensorProto.BOOL, [])
    turn = helper.make_tensor_value_info("turn", TensorProto.INT64, [])
    inner = helper.make_graph(
        [helper.make_node("Identity", ["yes"], ["again"])],
        "inner",
        [turn, yes],
        [helper.make_tensor_value_info("again", TensorProto.BOOL, [])],
    )
    made = model()
    true = helper.make_tensor("true", TensorProto.BOOL, [], [True])
    made.graph.node.insert(0, helper.make_node("Loop", ["", "start"], [], body=inner))
    made.graph.node.insert(0, helper.make_node("Constant", [], ["start"], value=true))
    return made


def laughs(most=40):
    """Give a graph of functions each of which calls the one before it ten times."""
    made = model()
    for number in range(most):
        before = "Identity" if number == 0 else f"F{number - 1}"
        domain = "" if number == 0 else "own"
        nodes = [helper.make_node(before, ["x"], [f"y{n}"], domain=domain) for n in range(9)]
        nodes.append(helper.make_node(before, ["x"], ["y"], domain=domain))
        made.functions.append(
            helper.make_function("own", f"F{number}", ["x"], ["y"], nodes, [helper.make_opsetid("own", 1)])
        )
    return made


def field(number, content):
    """Write a field that holds bytes, as protobuf has it."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value):
    """Write a number, seven bits a byte."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def nested(depth):
    """Give graphs inside of attributes of nodes of graphs, to a depth."""
    inner = b""
    for _ in range(depth):
        inner = field(1, field(5, field(6, inner)))
    return field(7, inner)
