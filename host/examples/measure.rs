//! Measures a checkpoint with this machine's processor and prints its heaviest matrices:
//! `cargo run --release -p kurtoscope-host --example measure -- model.safetensors`

use std::{env, error::Error, path::Path};

use kurtoscope_checkpoint::Checkpoint;
use kurtoscope_host::{
    analysis::{self, Device, DeviceOptions, Quiet},
    link::DeviceUrl,
    number,
    record::Tensor,
    text,
};

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args_os().nth(1).ok_or("usage: measure MODEL")?;
    let checkpoint = Checkpoint::open(Path::new(&path))?;
    let mut devices = [Device::open(&DeviceUrl::Local, DeviceOptions::default())?];
    let run = analysis::analyze(&checkpoint, &mut devices, &mut Quiet)?;

    let mut matrices: Vec<&Tensor> = run.tensors.iter().filter(|tensor| tensor.is_matrix()).collect();
    matrices.sort_by(|a, b| b.kurtosis.unwrap_or(0.0).total_cmp(&a.kurtosis.unwrap_or(0.0)));
    println!("Pearson kurtosis (a normal distribution has 3)");
    for tensor in matrices.into_iter().take(10) {
        println!("{:>10}  {}", number::kurtosis(tensor.kurtosis), text::plain(&tensor.name));
    }
    Ok(())
}
