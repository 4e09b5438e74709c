"""What a transformer has to be, looked at by running it: each text's vector is its own, and made of ids and mask."""
