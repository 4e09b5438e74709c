"""The one way into Weaviate: addresses and credentials, REST and gRPC, and the values that cross the border.

Import from here: `database` (the Protocol `Database`, in four parts, and `stream`), `client` (`Store`, the real one),
`values` (Passage, StoredObject, Failure, Hit, Consistency, Levels, Node, Shard), `address` (which Weaviate), `patience`
(the one retry loop), `transient` (the one table of what may pass), `journal` (the one file of what was done), and
`environment` (the variables that Weaviate itself needs). How `Store` asks is in `rest`, `schemas`, `objects` and
`queries`; foreign errors become ours in `errors` and `rest`.

The only room that imports weaviate or opens a connection to it. It knows `pinning.spec` and `pinning.index`, and no
room above it. Decisions belong to the other rooms.
"""
