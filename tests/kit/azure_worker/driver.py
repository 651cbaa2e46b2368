"""Puts Azure's own worker library between two pipes: a message a line, as protobuf writes JSON.

Run by the interpreter of a package's environment, in the package's folder. In Azure the same
messages come over gRPC, through a proxy that hands each to the function of the library that has the
name of its content; here they come from the test. Of this repository nothing is imported.
"""

import asyncio
import logging
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO

from azure_functions_runtime import (
    function_load_request,
    functions_metadata_request,
    invocation_request,
    worker_init_request,
)
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

PROTOCOL = Path(__file__).with_name("function_rpc.proto")
ANSWERS = {
    "worker_init_request": (worker_init_request, "worker_init_response"),
    "functions_metadata_request": (functions_metadata_request, "function_metadata_response"),
    "function_load_request": (function_load_request, "function_load_response"),
    "invocation_request": (invocation_request, "invocation_response"),
}
SCALARS = {
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "sint64": FieldDescriptorProto.TYPE_SINT64,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
}
OPENED = re.compile(r"(message|enum|oneof) (\w+) \{")
VALUE = re.compile(r"(\w+) = (\d+);")
FIELD = re.compile(r"(repeated )?(?:map<string, (\w+)>|(\w+)) (\w+) = (\d+);")


def messages() -> SimpleNamespace:
    """Return the message classes of the protocol by name, as the library wants them."""
    file = FileDescriptorProto(name="function_rpc", package="rpc", syntax="proto3")
    message = enum = None
    is_oneof = False
    for line in map(str.strip, PROTOCOL.read_text().splitlines()):
        if opened := OPENED.fullmatch(line):
            kind, name = opened.groups()
            if kind == "message":
                message = file.message_type.add(name=name)
            elif kind == "enum":
                enum = message.enum_type.add(name=name)
            else:
                message.oneof_decl.add(name=name)
                is_oneof = True
        elif line == "}":
            enum, is_oneof = None, False
        elif enum is not None and (value := VALUE.fullmatch(line)):
            enum.value.add(name=value[1], number=int(value[2]))
        elif field := FIELD.fullmatch(line):
            _add(message, field, is_oneof=is_oneof)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = message_factory.GetMessageClassesForFiles(["function_rpc"], pool)
    return SimpleNamespace(**{name.removeprefix("rpc."): each for name, each in found.items()})


def _add(message: DescriptorProto, field: re.Match[str], *, is_oneof: bool) -> None:
    repeated, of_map, kind, name, number = field.groups()
    added = message.field.add(
        name=name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL
    )
    if is_oneof:
        added.oneof_index = len(message.oneof_decl) - 1
    if of_map:
        entry = message.nested_type.add(name=name.title().replace("_", "") + "Entry")
        entry.options.map_entry = True
        for number_of, (part, of) in enumerate((("key", "string"), ("value", of_map)), start=1):
            inner = entry.field.add(name=part, number=number_of)
            inner.label = FieldDescriptorProto.LABEL_OPTIONAL
            _of(inner, of, message)
        _of(added, entry.name, message)
    else:
        _of(added, kind, message)
    if repeated or of_map:
        added.label = FieldDescriptorProto.LABEL_REPEATED


def _of(field: FieldDescriptorProto, kind: str, message: DescriptorProto) -> None:
    nested = {each.name for each in message.nested_type}
    if kind in SCALARS:
        field.type = SCALARS[kind]
    elif kind in {each.name for each in message.enum_type}:
        field.type, field.type_name = FieldDescriptorProto.TYPE_ENUM, f".rpc.{message.name}.{kind}"
    else:
        within = f"{message.name}." if kind in nested else ""
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".rpc.{within}{kind}"


async def serve(asked: TextIO, answered: TextIO) -> None:
    """Answer each line of *asked*, one after the other, until there is none."""
    protos = messages()
    properties: dict[str, Any] = {"host": "127.0.0.1", "protos": protos}
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, asked.readline):
        request = json_format.Parse(line, protos.StreamingMessage())
        handle, name = ANSWERS[request.WhichOneof("content")]
        answer = await handle(SimpleNamespace(request=request, properties=properties))
        sent = protos.StreamingMessage(request_id=request.request_id, **{name: answer})
        written = json_format.MessageToJson(sent, preserving_proto_field_name=True, indent=None)
        answered.write(written + "\n")
        answered.flush()


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the app prints
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    sys.path.insert(0, str(Path.cwd()))
    asyncio.run(serve(sys.stdin, answers))
