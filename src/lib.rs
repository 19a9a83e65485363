//! Wharfe: a streaming SQL engine on timely and differential dataflow.
//!
//! The modules in reading order: what everything is made of, then a statement's way, then a record's.

pub mod error;
pub mod types;
pub mod value;
pub mod headers;
pub mod batch;
pub mod number_text;
pub mod dialect;
pub mod time;
pub mod clock;
pub mod sql;
pub mod catalog;
pub mod expr;
pub mod aggregate;
pub mod plan;
pub mod topology;
pub mod connector;
pub mod journal;
pub mod partition;
pub mod format;
pub mod render;
pub mod engine;
pub mod registry;
pub mod flow;
pub mod dashboard;
pub mod gateway;
pub mod server;
pub mod client;
pub mod testing;
pub mod cli;
