"""The one way into Weaviate: addresses and credentials, REST and gRPC, the records that cross the border.

Import from here: `client` (Store), `values` (Passage, StoredObject, Hit, Database), `address` (which Weaviate), and
`environment` (the variables that Weaviate itself needs). The only room that imports weaviate or opens a connection to
it. Decisions belong to the other rooms.
"""
