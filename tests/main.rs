//! All integration tests, in one binary. The cases are what the modules show; how they are run is in
//! `harness`, `script` (files of statements with their expected answers) and `model` (the oracles).

mod harness;
mod scripts;
