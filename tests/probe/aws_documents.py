"""Holds the input of an operation of SageMaker against the service's own model.

    aws_documents.py OPERATION FILE

botocore's validation knows names, types and what is required, and of limits only the lower ones; so the model's limits, patterns and
enumerations are checked here.
"""

import json
import re
import sys

import botocore.session
from botocore.validate import ParamValidator

operation, file = sys.argv[1:]
document = json.load(open(file))
model = botocore.session.get_session().get_service_model("sagemaker")
shape = model.operation_model(operation).input_shape
errors = []


def check(shape, value, place):
    limits = shape.metadata
    size = value if isinstance(value, int) else len(value)
    if "min" in limits and size < limits["min"]:
        errors.append(f"{place}: {size} is below {limits['min']}")
    if "max" in limits and size > limits["max"]:
        errors.append(f"{place}: {size} is above {limits['max']}")
    if shape.type_name == "structure":
        for name in shape.required_members:
            if name not in value:
                errors.append(f"{place}.{name} is missing")
        for name, inner in value.items():
            if name not in shape.members:
                errors.append(f"{place}.{name} is unknown")
            else:
                check(shape.members[name], inner, f"{place}.{name}")
    elif shape.type_name == "list":
        for index, inner in enumerate(value):
            check(shape.member, inner, f"{place}[{index}]")
    elif shape.type_name == "map":
        for name, inner in value.items():
            check(shape.key, name, f"{place} key {name}")
            check(shape.value, inner, f"{place}.{name}")
    elif shape.type_name == "string":
        pattern = shape.serialization.get("pattern") or limits.get("pattern")
        if pattern and not re.fullmatch(pattern, value):
            errors.append(f"{place}: {value!r} does not match {pattern}")
        if shape.enum and value not in shape.enum:
            errors.append(f"{place}: {value!r} is none of {shape.enum}")


check(shape, document, operation)
report = ParamValidator().validate(document, shape)
if report.has_errors():
    errors.append(report.generate_report())
print("\n".join(errors))
sys.exit(bool(errors))
