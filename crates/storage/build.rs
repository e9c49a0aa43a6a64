//! The migrations are embedded by a macro, which does not see when they change.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
