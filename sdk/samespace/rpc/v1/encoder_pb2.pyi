from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_QUERY: _ClassVar[Role]
    ROLE_PASSAGE: _ClassVar[Role]

class LongTexts(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LONG_TEXTS_POOL: _ClassVar[LongTexts]
    LONG_TEXTS_WINDOWS: _ClassVar[LongTexts]
    LONG_TEXTS_REJECT: _ClassVar[LongTexts]
    LONG_TEXTS_SLICES: _ClassVar[LongTexts]

class VectorType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VECTOR_TYPE_FLOAT32: _ClassVar[VectorType]
    VECTOR_TYPE_FLOAT16: _ClassVar[VectorType]
ROLE_UNSPECIFIED: Role
ROLE_QUERY: Role
ROLE_PASSAGE: Role
LONG_TEXTS_POOL: LongTexts
LONG_TEXTS_WINDOWS: LongTexts
LONG_TEXTS_REJECT: LongTexts
LONG_TEXTS_SLICES: LongTexts
VECTOR_TYPE_FLOAT32: VectorType
VECTOR_TYPE_FLOAT16: VectorType

class EmbedRequest(_message.Message):
    __slots__ = ("space_id", "role", "texts", "long_texts", "vector_type", "dims", "sequence")
    SPACE_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    LONG_TEXTS_FIELD_NUMBER: _ClassVar[int]
    VECTOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    DIMS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    space_id: str
    role: Role
    texts: _containers.RepeatedScalarFieldContainer[str]
    long_texts: LongTexts
    vector_type: VectorType
    dims: int
    sequence: int
    def __init__(self, space_id: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., texts: _Optional[_Iterable[str]] = ..., long_texts: _Optional[_Union[LongTexts, str]] = ..., vector_type: _Optional[_Union[VectorType, str]] = ..., dims: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class EmbedReply(_message.Message):
    __slots__ = ("space_id", "rows", "dims", "vector_type", "vectors", "texts", "spans", "timings", "sequence")
    SPACE_ID_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    DIMS_FIELD_NUMBER: _ClassVar[int]
    VECTOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    space_id: str
    rows: int
    dims: int
    vector_type: VectorType
    vectors: bytes
    texts: _containers.RepeatedCompositeFieldContainer[TextInfo]
    spans: _containers.RepeatedCompositeFieldContainer[Span]
    timings: Timings
    sequence: int
    def __init__(self, space_id: _Optional[str] = ..., rows: _Optional[int] = ..., dims: _Optional[int] = ..., vector_type: _Optional[_Union[VectorType, str]] = ..., vectors: _Optional[bytes] = ..., texts: _Optional[_Iterable[_Union[TextInfo, _Mapping]]] = ..., spans: _Optional[_Iterable[_Union[Span, _Mapping]]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., sequence: _Optional[int] = ...) -> None: ...

class TextInfo(_message.Message):
    __slots__ = ("tokens", "windows")
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    tokens: int
    windows: int
    def __init__(self, tokens: _Optional[int] = ..., windows: _Optional[int] = ...) -> None: ...

class Span(_message.Message):
    __slots__ = ("text", "start", "end")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    text: int
    start: int
    end: int
    def __init__(self, text: _Optional[int] = ..., start: _Optional[int] = ..., end: _Optional[int] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("tokenize_us", "queue_us", "run_us")
    TOKENIZE_US_FIELD_NUMBER: _ClassVar[int]
    QUEUE_US_FIELD_NUMBER: _ClassVar[int]
    RUN_US_FIELD_NUMBER: _ClassVar[int]
    tokenize_us: int
    queue_us: int
    run_us: int
    def __init__(self, tokenize_us: _Optional[int] = ..., queue_us: _Optional[int] = ..., run_us: _Optional[int] = ...) -> None: ...

class GetSpaceRequest(_message.Message):
    __slots__ = ("space_id",)
    SPACE_ID_FIELD_NUMBER: _ClassVar[int]
    space_id: str
    def __init__(self, space_id: _Optional[str] = ...) -> None: ...

class ListSpacesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSpacesReply(_message.Message):
    __slots__ = ("spaces",)
    SPACES_FIELD_NUMBER: _ClassVar[int]
    spaces: _containers.RepeatedCompositeFieldContainer[Space]
    def __init__(self, spaces: _Optional[_Iterable[_Union[Space, _Mapping]]] = ...) -> None: ...

class Space(_message.Message):
    __slots__ = ("space_id", "name", "dims", "matryoshka_dims", "token_limit", "window_overlap", "prompts", "build", "runtime", "precision", "probe_worst", "probe_bound")
    class PromptsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SPACE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIMS_FIELD_NUMBER: _ClassVar[int]
    MATRYOSHKA_DIMS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_LIMIT_FIELD_NUMBER: _ClassVar[int]
    WINDOW_OVERLAP_FIELD_NUMBER: _ClassVar[int]
    PROMPTS_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    PROBE_WORST_FIELD_NUMBER: _ClassVar[int]
    PROBE_BOUND_FIELD_NUMBER: _ClassVar[int]
    space_id: str
    name: str
    dims: int
    matryoshka_dims: _containers.RepeatedScalarFieldContainer[int]
    token_limit: int
    window_overlap: int
    prompts: _containers.ScalarMap[str, str]
    build: str
    runtime: str
    precision: str
    probe_worst: float
    probe_bound: float
    def __init__(self, space_id: _Optional[str] = ..., name: _Optional[str] = ..., dims: _Optional[int] = ..., matryoshka_dims: _Optional[_Iterable[int]] = ..., token_limit: _Optional[int] = ..., window_overlap: _Optional[int] = ..., prompts: _Optional[_Mapping[str, str]] = ..., build: _Optional[str] = ..., runtime: _Optional[str] = ..., precision: _Optional[str] = ..., probe_worst: _Optional[float] = ..., probe_bound: _Optional[float] = ...) -> None: ...
