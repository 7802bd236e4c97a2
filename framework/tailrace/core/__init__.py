"""The compiled core: from the wire bytes of rows to record blocks of Avro, in Cython; its Python twin is `codec`."""
