//! What the end-to-end tests share: the commands under test, checkpoints made to order, and the comparison with
//! references.
