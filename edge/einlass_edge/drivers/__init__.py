"""What the node's hardware looks like to the node. One file a device; nothing here decides who may enter."""
