"""Generated from `inference_server/proto/samespace/v1` by `tools/gen_stubs.py`; not edited by hand."""
