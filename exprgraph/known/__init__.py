"""What is known of the values of a tensor: the record, and how each row of the tables carries it on."""
