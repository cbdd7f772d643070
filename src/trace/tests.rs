//! Readers on text, and what becomes of requests.
