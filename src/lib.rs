//! Wharfe: a streaming SQL engine on timely and differential dataflow.

pub mod error;
pub mod types;
pub mod value;
pub mod batch;
pub mod sql;
pub mod expr;
pub mod connector;
pub mod format;
pub mod aggregate;
pub mod topology;
pub mod engine;
