//! All integration tests, in one binary. The cases are what the modules show; how they are run is in
//! `harness`, what services are stood in for with in `fake_http`.

mod harness;
mod fake_http;
mod architecture;
mod scripts;
mod operators;
mod local;
mod windows;
mod emission;
mod testing;
mod books;
#[cfg(feature = "kafka")]
mod broker;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "kafka")]
mod headers;
mod outboxes;
mod files;
mod fuzz;
mod carparks;
mod nexmark;
mod bytes;
mod crash;
mod data_directory;
mod faults;
mod live;
mod pause;
mod upgrade;
mod subqueries;
mod statements;
mod processes;
mod rest;
mod connections;
mod clients;
mod registry;
mod gateway;
mod events;
#[cfg(feature = "kafka")]
mod waiting;
mod console;
mod opensearch;
mod interop;
mod cli;
mod bench;
