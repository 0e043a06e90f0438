//! Tests of tokens that keys sign.
