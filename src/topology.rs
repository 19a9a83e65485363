//! Topic name → place. (Being written.)

#[derive(Clone, Debug, Default)]
pub struct Topology {}
