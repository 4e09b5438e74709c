from samespace.rpc.v1 import encoder_pb2 as _encoder_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListServedRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListServedReply(_message.Message):
    __slots__ = ("spaces", "server_state")
    SPACES_FIELD_NUMBER: _ClassVar[int]
    SERVER_STATE_FIELD_NUMBER: _ClassVar[int]
    spaces: _containers.RepeatedCompositeFieldContainer[ServedSpace]
    server_state: str
    def __init__(self, spaces: _Optional[_Iterable[_Union[ServedSpace, _Mapping]]] = ..., server_state: _Optional[str] = ...) -> None: ...

class ServedSpace(_message.Message):
    __slots__ = ("space", "ready", "broken", "is_default", "folder", "requests_at_work")
    SPACE_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    BROKEN_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    FOLDER_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_AT_WORK_FIELD_NUMBER: _ClassVar[int]
    space: _encoder_pb2.Space
    ready: bool
    broken: str
    is_default: bool
    folder: str
    requests_at_work: int
    def __init__(self, space: _Optional[_Union[_encoder_pb2.Space, _Mapping]] = ..., ready: bool = ..., broken: _Optional[str] = ..., is_default: bool = ..., folder: _Optional[str] = ..., requests_at_work: _Optional[int] = ...) -> None: ...

class LoadSpaceRequest(_message.Message):
    __slots__ = ("folder", "space_id", "replace", "build", "runtime", "other_graph")
    FOLDER_FIELD_NUMBER: _ClassVar[int]
    SPACE_ID_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    OTHER_GRAPH_FIELD_NUMBER: _ClassVar[int]
    folder: str
    space_id: str
    replace: bool
    build: str
    runtime: str
    other_graph: bool
    def __init__(self, folder: _Optional[str] = ..., space_id: _Optional[str] = ..., replace: bool = ..., build: _Optional[str] = ..., runtime: _Optional[str] = ..., other_graph: bool = ...) -> None: ...

class LoadSpaceReply(_message.Message):
    __slots__ = ("space", "replaced")
    SPACE_FIELD_NUMBER: _ClassVar[int]
    REPLACED_FIELD_NUMBER: _ClassVar[int]
    space: ServedSpace
    replaced: bool
    def __init__(self, space: _Optional[_Union[ServedSpace, _Mapping]] = ..., replaced: bool = ...) -> None: ...

class UnloadSpaceRequest(_message.Message):
    __slots__ = ("space_id", "timeout_ms")
    SPACE_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    space_id: str
    timeout_ms: int
    def __init__(self, space_id: _Optional[str] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class UnloadSpaceReply(_message.Message):
    __slots__ = ("space_id", "unanswered")
    SPACE_ID_FIELD_NUMBER: _ClassVar[int]
    UNANSWERED_FIELD_NUMBER: _ClassVar[int]
    space_id: str
    unanswered: int
    def __init__(self, space_id: _Optional[str] = ..., unanswered: _Optional[int] = ...) -> None: ...

class SetDefaultRequest(_message.Message):
    __slots__ = ("space_id",)
    SPACE_ID_FIELD_NUMBER: _ClassVar[int]
    space_id: str
    def __init__(self, space_id: _Optional[str] = ...) -> None: ...

class SetDefaultReply(_message.Message):
    __slots__ = ("space_id",)
    SPACE_ID_FIELD_NUMBER: _ClassVar[int]
    space_id: str
    def __init__(self, space_id: _Optional[str] = ...) -> None: ...
