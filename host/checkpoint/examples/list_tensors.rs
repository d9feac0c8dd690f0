//! Prints the name, the shape and the stored type of every tensor of a checkpoint.
//!
//! `cargo run -p kurtoscope-checkpoint --example list_tensors -- PATH`

use std::error::Error;
use std::path::Path;

use kurtoscope_checkpoint::Checkpoint;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: list_tensors PATH (a file, an index or a folder)")?;
    let checkpoint = Checkpoint::open(Path::new(&path))?;
    println!("{} tensors, {}", checkpoint.tensors.len() + checkpoint.unmeasured.len(), checkpoint.format);
    for tensor in &checkpoint.tensors {
        println!("{} {:?} {}", tensor.name, tensor.shape, tensor.stored);
    }
    for tensor in &checkpoint.unmeasured {
        println!("{} {:?} {}: {}", tensor.name, tensor.shape, tensor.dtype, tensor.reason);
    }
    Ok(())
}
