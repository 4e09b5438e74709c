"""The messages of an ONNX file, field by field, for `protobuf.Reader`; what may not be in an encoder has its reason."""

from __future__ import annotations

from typing import Final

from .protobuf import Field

# Fields by number, as in onnx.proto3 of onnx 1.23. What is not listed is refused as unknown.
MODEL: Final = {
    1: Field("ir_version", "number"), 2: Field("producer_name", "bytes"), 3: Field("producer_version", "bytes"),
    4: Field("domain", "bytes"), 5: Field("model_version", "number"), 6: Field("doc_string", "bytes"),
    7: Field("graph", "bytes"), 8: Field("opset_import", "bytes", many=True),
    14: Field("metadata_props", "bytes", many=True),
    20: Field("training_info", "bytes", refused="training information"),
    25: Field("functions", "bytes", refused="functions of its own"),
    26: Field("configuration", "bytes", refused="a device configuration"),
}  # fmt: skip
GRAPH: Final = {
    1: Field("node", "bytes", many=True), 2: Field("name", "bytes"), 5: Field("initializer", "bytes", many=True),
    10: Field("doc_string", "bytes"), 11: Field("input", "bytes", many=True), 12: Field("output", "bytes", many=True),
    13: Field("value_info", "bytes", many=True), 14: Field("quantization_annotation", "bytes", many=True),
    15: Field("sparse_initializer", "bytes", refused="a sparse tensor"),
    16: Field("metadata_props", "bytes", many=True),
}  # fmt: skip
NODE: Final = {
    1: Field("input", "bytes", many=True), 2: Field("output", "bytes", many=True), 3: Field("name", "bytes"),
    4: Field("op_type", "bytes"), 5: Field("attribute", "bytes", many=True), 6: Field("doc_string", "bytes"),
    7: Field("domain", "bytes"), 8: Field("overload", "bytes"), 9: Field("metadata_props", "bytes", many=True),
    10: Field("device_configurations", "bytes", refused="a device configuration"),
}  # fmt: skip
ATTRIBUTE: Final = {
    1: Field("name", "bytes"), 2: Field("f", "fixed32"), 3: Field("i", "number"), 4: Field("s", "bytes"),
    5: Field("t", "bytes"), 6: Field("g", "bytes"), 7: Field("floats", "fixed32", many=True),
    8: Field("ints", "number", many=True), 9: Field("strings", "bytes", many=True),
    10: Field("tensors", "bytes", many=True), 11: Field("graphs", "bytes", many=True),
    13: Field("doc_string", "bytes"), 14: Field("tp", "bytes"), 15: Field("type_protos", "bytes", many=True),
    20: Field("type", "number"), 21: Field("ref_attr_name", "bytes", refused="a reference to a function's attribute"),
    22: Field("sparse_tensor", "bytes", refused="a sparse tensor"),
    23: Field("sparse_tensors", "bytes", refused="a sparse tensor"),
}  # fmt: skip
TENSOR: Final = {
    1: Field("dims", "number", many=True), 2: Field("data_type", "number"),
    3: Field("segment", "bytes", refused="a segment"), 4: Field("float_data", "fixed32", many=True),
    5: Field("int32_data", "number", many=True), 6: Field("string_data", "bytes", refused="strings"),
    7: Field("int64_data", "number", many=True), 8: Field("name", "bytes"), 9: Field("raw_data", "bytes"),
    10: Field("double_data", "fixed64", many=True), 11: Field("uint64_data", "number", many=True),
    12: Field("doc_string", "bytes"),
    13: Field("external_data", "bytes", refused="its data outside the file (external data)"),
    14: Field("data_location", "number"), 16: Field("metadata_props", "bytes", many=True),
}  # fmt: skip
VALUE: Final = {
    1: Field("name", "bytes"), 2: Field("type", "bytes"), 3: Field("doc_string", "bytes"),
    4: Field("metadata_props", "bytes", many=True),
}  # fmt: skip
TYPE: Final = {1: Field("tensor_type", "bytes"), 6: Field("denotation", "bytes")}
TENSOR_TYPE: Final = {1: Field("elem_type", "number"), 2: Field("shape", "bytes")}
SHAPE: Final = {1: Field("dim", "bytes", many=True)}
DIM: Final = {1: Field("dim_value", "number"), 2: Field("dim_param", "bytes"), 3: Field("denotation", "bytes")}
