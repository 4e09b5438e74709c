from samespace.rpc.v1 import encoder_pb2 as _encoder_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RerankRequest(_message.Message):
    __slots__ = ("reranker_id", "query", "passages")
    RERANKER_ID_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    reranker_id: str
    query: str
    passages: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, reranker_id: _Optional[str] = ..., query: _Optional[str] = ..., passages: _Optional[_Iterable[str]] = ...) -> None: ...

class RerankReply(_message.Message):
    __slots__ = ("reranker_id", "scores", "logits", "texts", "timings")
    RERANKER_ID_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    LOGITS_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    reranker_id: str
    scores: _containers.RepeatedScalarFieldContainer[float]
    logits: _containers.RepeatedScalarFieldContainer[float]
    texts: _containers.RepeatedCompositeFieldContainer[_encoder_pb2.TextInfo]
    timings: _encoder_pb2.Timings
    def __init__(self, reranker_id: _Optional[str] = ..., scores: _Optional[_Iterable[float]] = ..., logits: _Optional[_Iterable[float]] = ..., texts: _Optional[_Iterable[_Union[_encoder_pb2.TextInfo, _Mapping]]] = ..., timings: _Optional[_Union[_encoder_pb2.Timings, _Mapping]] = ...) -> None: ...

class ListRerankersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRerankersReply(_message.Message):
    __slots__ = ("rerankers",)
    RERANKERS_FIELD_NUMBER: _ClassVar[int]
    rerankers: _containers.RepeatedCompositeFieldContainer[RerankerInfo]
    def __init__(self, rerankers: _Optional[_Iterable[_Union[RerankerInfo, _Mapping]]] = ...) -> None: ...

class RerankerInfo(_message.Message):
    __slots__ = ("reranker_id", "name", "token_limit", "window_overlap", "activation", "build", "runtime", "precision", "probe_worst", "probe_bound")
    RERANKER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TOKEN_LIMIT_FIELD_NUMBER: _ClassVar[int]
    WINDOW_OVERLAP_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    PROBE_WORST_FIELD_NUMBER: _ClassVar[int]
    PROBE_BOUND_FIELD_NUMBER: _ClassVar[int]
    reranker_id: str
    name: str
    token_limit: int
    window_overlap: int
    activation: str
    build: str
    runtime: str
    precision: str
    probe_worst: float
    probe_bound: float
    def __init__(self, reranker_id: _Optional[str] = ..., name: _Optional[str] = ..., token_limit: _Optional[int] = ..., window_overlap: _Optional[int] = ..., activation: _Optional[str] = ..., build: _Optional[str] = ..., runtime: _Optional[str] = ..., precision: _Optional[str] = ..., probe_worst: _Optional[float] = ..., probe_bound: _Optional[float] = ...) -> None: ...
