"""A server that speaks Weaviate's REST and gRPC on loopback, for tests of what is really sent and how answers are read.

    with stub_weaviate() as stub, Store.connect(stub.address) as store:
        store.create(schema)
        assert stub.calls[-1].what == "POST /v1/schema"

The real weaviate-client and our own client talk to it over sockets. It keeps schemas and objects in memory, notes every
request, refuses what Weaviate refuses (an unnamed vector where there are several, a reference within an object to what
is not there, an unknown vector's name), and can be made to fail, to lag behind on a replica, or to go away.

`state` holds what it knows, `rest` and `rpc` are its two interfaces, `server` its sockets. What it gives up: indexes
(it compares with every vector), words (a text is found by any word), transactions, authorisation.
"""

from .server import StubWeaviate, stub_weaviate
from .state import Call, Fault, StubObject

__all__ = ["Call", "Fault", "StubObject", "StubWeaviate", "stub_weaviate"]
