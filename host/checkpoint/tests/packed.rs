//! Packed weights of checkpoints, recognized and dequantized, against the weights that the packages themselves make of
//! them.
//!
//! The fixtures lie in `tests/fixtures/packed`; the scripts that made them, in `tests/validation/packed`.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use kurtoscope_checkpoint::packed::matmul_nbits::Attributes;
use kurtoscope_checkpoint::packed::{
    Component, Configuration, Listed, Members, PackedTensor, Recognition, Role, Stored, StoredType, matmul_nbits,
    recognize,
};
use safetensors::SafeTensors;

/// A file of packed tensors, and the weights that they are.
struct Fixture {
    name: String,
    package: String,
    components: Vec<Component>,
    expected: BTreeMap<String, (Vec<u64>, Vec<f32>)>,
    config: serde_json::Value,
}

impl Fixture {
    fn read(path: PathBuf) -> Self {
        let data = fs::read(&path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&data).unwrap();
        let metadata = header.metadata().clone().unwrap();
        let file = SafeTensors::deserialize(&data).unwrap();
        let (mut components, mut expected) = (Vec::new(), BTreeMap::new());
        for (name, tensor) in file.iter() {
            let shape = tensor.shape().iter().map(|&length| length as u64).collect();
            match name.strip_prefix("expected:") {
                Some(weight) => {
                    let values = tensor.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
                    expected.insert(weight.to_owned(), (shape, values));
                }
                None => components.push(Component {
                    name: name.to_owned(),
                    stored: StoredType::from_safetensors(&format!("{:?}", tensor.dtype())),
                    shape,
                    bytes: Arc::new(tensor.data().to_vec()),
                }),
            }
        }
        Self {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            package: metadata["package"].clone(),
            components,
            expected,
            config: serde_json::from_str(&metadata["config"]).unwrap(),
        }
    }

    fn recognize(&self, config: &serde_json::Value) -> Recognition {
        let listed: Vec<Listed> = self
            .components
            .iter()
            .map(|component| Listed {
                name: &component.name,
                stored: component.stored.clone(),
                shape: &component.shape,
            })
            .collect();
        recognize(&listed, &Configuration::new(config))
    }

    fn open(&self, config: &serde_json::Value) -> BTreeMap<String, PackedTensor> {
        let recognition = self.recognize(config);
        let opened = recognition.weights.iter().map(|weight| {
            let tensor = weight.open(|at| self.components[at].clone());
            (weight.name.clone(), tensor.unwrap_or_else(|fault| panic!("{}: {fault}", self.name)))
        });
        opened.collect()
    }
}

fn fixtures(prefix: &str) -> Vec<Fixture> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/packed");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.is_file() && path.file_name().unwrap().to_string_lossy().starts_with(prefix));
    paths.sort();
    assert!(!paths.is_empty(), "no fixture begins with {prefix}");
    paths.into_iter().map(Fixture::read).collect()
}

/// Dequantizes everything of fixtures that begin so, whole and in uneven parts; prints the figures and gives the
/// largest difference relative to the largest weight.
fn compare(prefix: &str) -> f32 {
    let mut worst: f32 = 0.0;
    for fixture in fixtures(prefix) {
        let opened = fixture.open(&fixture.config);
        assert_eq!(opened.keys().collect::<Vec<_>>(), fixture.expected.keys().collect::<Vec<_>>(), "{}", fixture.name);
        for name in fixture.expected.keys() {
            worst = worst.max(compared(&fixture, name, &opened[name]));
        }
    }
    worst
}

/// Compares one weight; the largest difference relative to the largest weight.
fn compared(fixture: &Fixture, name: &str, tensor: &PackedTensor) -> f32 {
    let (shape, expected) = &fixture.expected[name];
    assert_eq!(tensor.shape(), shape, "{} {name}", fixture.name);
    tensor.verify().unwrap();
    let mut whole = vec![0.0; expected.len()];
    tensor.dequantize(0..tensor.count(), &mut whole).unwrap();
    let largest = expected.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let off = whole.iter().zip(expected).map(|(found, right)| (found - right).abs()).fold(0f32, f32::max);
    let equal = whole.iter().zip(expected).filter(|(found, right)| found == right).count();
    let Fixture { name, package, .. } = fixture;
    println!("{name}: {} elements, {equal} equal, largest difference {off:e} of {largest} ({package})", expected.len());
    in_parts(tensor, &whole);
    off / largest
}

/// Any range gives the elements of the whole.
fn in_parts(tensor: &PackedTensor, whole: &[f32]) {
    for length in [1, 7, 33, 100, 257] {
        let mut start = 0;
        while start < whole.len() {
            let end = whole.len().min(start + length);
            let mut part = vec![f32::NAN; end - start];
            tensor.dequantize(start as u64..end as u64, &mut part).unwrap();
            assert_eq!(part, whole[start..end], "{start}..{end}");
            start = end;
        }
    }
}

#[test]
fn mlx_affine_and_float_modes() {
    assert!(compare("mlx-") <= f32::EPSILON);
}

#[test]
fn bitsandbytes_4bit_and_int8() {
    assert!(compare("bitsandbytes-") <= f32::EPSILON);
}

#[test]
fn compressed_tensors_integers_and_floats() {
    assert!(compare("compressed-tensors-") <= f32::EPSILON);
}

#[test]
fn awq() {
    assert!(compare("awq-") <= f32::EPSILON);
}

#[test]
fn gptq_both_versions_activation_order_and_planes() {
    assert!(compare("gptq") <= f32::EPSILON);
}

#[test]
fn fp8_with_tiles_and_packed_e2m1() {
    assert!(compare("fp8-") <= f32::EPSILON);
}

#[test]
fn mxfp4_of_stacked_experts() {
    assert!(compare("mxfp4-") <= f32::EPSILON);
}

#[test]
fn matmul_nbits() {
    for fixture in fixtures("matmul_nbits-") {
        let said = &fixture.config["matmul_nbits"];
        let number = |key: &str| said[key].as_u64().unwrap();
        let attributes =
            Attributes { inputs: number("K"), outputs: number("N"), bits: number("bits"), block: number("block_size") };
        let role = |name: &str| match name {
            "B" => Role::Codes,
            "scales" => Role::Scales,
            _ => Role::Zeros,
        };
        let list = fixture.components.iter().map(|component| (role(&component.name), component.clone()));
        let tensor = matmul_nbits::open(&Members::new("B", list.collect()), attributes).unwrap();
        assert!(compared(&fixture, "B", &tensor) <= f32::EPSILON);
    }
}

#[test]
fn hqq_along_both_axes() {
    assert!(compare("hqq-") <= f32::EPSILON);
}

#[test]
fn torchao_with_a_code_a_byte() {
    assert!(compare("torchao-") <= f32::EPSILON);
}

#[test]
fn nvfp4_whose_second_scale_multiplies() {
    assert!(compare("nvfp4-") <= f32::EPSILON);
}

/// Siblings alone say everything but what a name in the configuration decides: version 2 and planes of GPTQ, tiles that
/// are not 128 x 128, and the bits of MLX's codes in a file of one weight.
#[test]
fn recognition_needs_no_configuration() {
    let undecided = ["gptq_", "mlx-", "compressed-tensors-fp8-block", "fp8-tile", "fp8-stack", "matmul_nbits-"];
    let decided = |fixture: &Fixture| {
        fixture.name == "compressed-tensors-fp8-block-128"
            || !undecided.iter().any(|name| fixture.name.starts_with(name))
    };
    for fixture in fixtures("").into_iter().filter(decided) {
        let stated = fixture.open(&fixture.config);
        for (name, tensor) in fixture.open(&serde_json::Value::Null) {
            // Only asymmetric codes of GPTQ leave something to assume.
            let assumed = tensor.stored().assumed;
            assert_eq!(Stored { assumed, ..stated[&name].stored() }, tensor.stored(), "{} {name}", fixture.name);
            assert!(assumed.is_none() || tensor.stored().scheme == "gptq", "{} {name}", fixture.name);
            let (mut alone, mut right) = (vec![0.0; tensor.count() as usize], vec![0.0; tensor.count() as usize]);
            tensor.dequantize(0..tensor.count(), &mut alone).unwrap();
            stated[&name].dequantize(0..tensor.count(), &mut right).unwrap();
            assert_eq!(alone, right, "{} {name}", fixture.name);
        }
    }
}

/// A small generator (SplitMix64): what is damaged must only vary, and the same way each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)) >> 11) as usize % limit.max(1)
    }
}

/// Changes a type, a dimension or bytes of one of the tensors, or takes it away.
fn damage(components: &mut Vec<Component>, random: &mut Random) {
    let at = random.below(components.len());
    let mut component = components.swap_remove(at);
    match random.below(5) {
        0 => return,
        1 => {
            let types = ["F32", "F16", "BF16", "F8_E4M3", "F8_E8M0", "F4", "I64", "I32", "I8", "U32", "U8", "C64"];
            component.stored = StoredType::from_safetensors(types[random.below(types.len())]);
        }
        2 => {
            let dimension = random.below(component.shape.len());
            let lengths = [0, 1, 2, 3, 31, 96, 100, 128, 1 << 20, 1 << 39, u64::MAX];
            if let Some(length) = component.shape.get_mut(dimension) {
                *length = lengths[random.below(lengths.len())];
            }
        }
        3 => {
            let mut bytes = component.bytes.range(0..component_length(&component)).unwrap_or_default().into_owned();
            for _ in 0..random.below(9) {
                let place = random.below(bytes.len());
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = random.below(256) as u8;
                }
            }
            component.bytes = Arc::new(bytes);
        }
        _ => component.shape = component.shape.into_iter().skip(1).collect(),
    }
    components.push(component);
}

/// Bytes of a tensor of a fixture, by its type and shape.
fn component_length(component: &Component) -> u64 {
    let size = match &component.stored {
        StoredType::Element(element) => element.size() as u64,
        _ => 1,
    };
    component.shape.iter().fold(size, |length, &dimension| length.saturating_mul(dimension))
}

#[test]
fn damaged_weights_are_faults_or_numbers_and_never_panic() {
    let mut random = Random(18);
    let (mut faults, mut read) = (0, 0);
    for mut fixture in fixtures("") {
        let whole = fixture.components.clone();
        for _ in 0..60 {
            fixture.components = whole.clone();
            for _ in 0..=random.below(2) {
                if !fixture.components.is_empty() {
                    damage(&mut fixture.components, &mut random);
                }
            }
            let config = if random.below(2) == 0 { serde_json::Value::Null } else { fixture.config.clone() };
            for weight in fixture.recognize(&config).weights {
                let opened = weight.open(|at| fixture.components[at].clone());
                let result = opened.and_then(|tensor| {
                    let verified = tensor.verify();
                    let end = tensor.count().min(4096);
                    tensor.dequantize(0..end, &mut vec![0.0; end as usize]).and(verified)
                });
                *if result.is_ok() { &mut read } else { &mut faults } += 1;
            }
        }
    }
    println!("{faults} faults, {read} read");
    assert!(faults > 500 && read > 500, "{faults} faults, {read} read");
}
