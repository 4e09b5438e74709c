"""Commands that look at data, train and score: they parse, call one function and print."""
