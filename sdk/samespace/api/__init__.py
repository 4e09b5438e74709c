"""What programs use beside `Encoder`; `samespace` has these names, and loads them when they are first used.

commands       train, export, evaluate, serve, adapt: what the command line calls
weaviate       `samespace.weaviate`: the plugin's functions under one name
asynchronous   `AsyncEncoder`
named          from a name, such as host:port or a folder, to an encoder
"""
