"""Whole corpora from files of texts to files of vectors, on one machine or on many.

A job is cut into parts, each a range of rows of one input and one output file. What is in a part depends on nothing
but the part: not on the engine, the number of workers or the order in which they come. So a part may be made anywhere
and any number of times, and the bytes are the same (`docs/explanation/scale.md`).

plan    pure: options, sources, parts and their names
files   where files are: the local disk, S3, GCS, HDFS, whatever pyarrow or fsspec reach
cuts    where a text file may be cut
rows    the rows of a part, chunk by chunk
parts   what a part looks like on disk, and whether it is complete
work    one part: read, encode, write
local   all parts, by threads of this process
cluster all parts, by actors of Ray Data
job     a folder of parts: look, plan, make what is missing, say what there is
"""

from .job import BulkJob, BulkResult, run
from .plan import BulkPart, Columns, InputFile, Options

__all__ = ["BulkJob", "BulkPart", "BulkResult", "Columns", "InputFile", "Options", "run"]
