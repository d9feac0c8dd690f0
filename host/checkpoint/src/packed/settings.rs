//! What config.json says about quantization: `quantization_config`, `quantization` (MLX) or `compression_config`.

use serde_json::Value;

use super::fault::PackedFault;

/// What a configuration says about one weight; what it does not say is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The method: `gptq`, `awq`, `fp8`, `mlx`, …
    pub method: Option<String>,
    /// The variant of the layout.
    pub format: Option<String>,
    /// Bits of a code.
    pub bits: Option<u64>,
    /// Elements of a row that share a scale.
    pub group: Option<u64>,
    /// Rows and columns that share a scale.
    pub tile: Option<[u64; 2]>,
    /// The kind of codes: `affine`, `mxfp4`, `nf4`, …
    pub mode: Option<String>,
}

impl Settings {
    /// The variant of the layout, without the tool's name before it (`auto_round:auto_gptq`).
    pub(super) fn layout(&self) -> Option<&str> {
        self.format.as_deref().and_then(|format| format.rsplit(':').next())
    }

    /// Refuses a number of bits that is not the stated one.
    pub(super) fn check_bits(&self, weight: &str, found: u64) -> Result<(), PackedFault> {
        self.check("bits", self.bits, weight, found)
    }

    /// The length of `groups` groups of `columns` columns, which is the stated one if any is; the last may be shorter
    /// then.
    pub(super) fn checked_group(&self, weight: &str, columns: u64, groups: u64) -> Result<u64, PackedFault> {
        let even = || (groups > 0 && columns.is_multiple_of(groups)).then(|| columns / groups);
        match self.group {
            Some(group) if group > 0 && columns.div_ceil(group) == groups => Ok(group),
            Some(_) => {
                self.check("group_size", self.group, weight, even().unwrap_or(0))?;
                Err(PackedFault::Group { weight: weight.to_owned(), columns, groups })
            }
            None => {
                let usual = || [32, 64, 128].into_iter().find(|&group| columns.div_ceil(group) == groups);
                let fault = || PackedFault::Group { weight: weight.to_owned(), columns, groups };
                even().or_else(usual).ok_or_else(fault)
            }
        }
    }

    /// Refuses a kind of codes that is not the stated one.
    pub(super) fn check_mode(&self, weight: &str, key: &'static str, found: &str) -> Result<(), PackedFault> {
        match &self.mode {
            Some(stated) if stated != found => Err(contradiction(weight, key, stated, found)),
            _ => Ok(()),
        }
    }

    fn check(&self, key: &'static str, stated: Option<u64>, weight: &str, found: u64) -> Result<(), PackedFault> {
        match stated {
            Some(stated) if stated != found => Err(contradiction(weight, key, &stated.to_string(), &found.to_string())),
            _ => Ok(()),
        }
    }
}

/// A fault: the configuration and the tensors disagree.
pub(super) fn contradiction(weight: &str, key: &'static str, stated: &str, found: &str) -> PackedFault {
    PackedFault::Config { weight: weight.to_owned(), key, stated: stated.to_owned(), found: found.to_owned() }
}

/// The part of config.json that is about quantization.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configuration {
    value: Value,
    mlx: bool,
}

impl Configuration {
    /// Finds it in a whole config.json, also in that of the text model inside.
    pub fn new(config: &Value) -> Self {
        let keys = ["quantization_config", "quantization", "compression_config"];
        let places = [Some(config), config.get("text_config"), config.get("llm_config")];
        let found = places.into_iter().flatten().find_map(|place| {
            keys.into_iter().find_map(|key| place.get(key).filter(|value| value.is_object()).map(|value| (key, value)))
        });
        let Some((key, value)) = found else {
            return Self::default();
        };
        // MLX writes the same object under both keys.
        let mlx = key == "quantization" || value.get("quant_method").is_none() && config.get("quantization").is_some();
        Self { value: value.clone(), mlx }
    }

    /// Whether there is one.
    pub fn is_stated(&self) -> bool {
        self.value.is_object()
    }

    /// What it says about the weight of this name.
    pub fn of(&self, weight: &str) -> Settings {
        let own = self.module(weight.strip_suffix(".weight").unwrap_or(weight));
        let word = |keys: &[&str]| own.and_then(|own| word(own, keys)).or_else(|| word(&self.value, keys));
        let varies = self.value.get("dynamic").is_some_and(|dynamic| !dynamic.is_null());
        let number = |keys: &[&str]| own.and_then(|own| number(own, keys)).or_else(|| number(&self.value, keys));
        let number = |keys: &[&str]| number(keys).filter(|_| !varies);
        let mut settings = Settings {
            method: word(&["quant_method"]).or_else(|| self.mlx.then(|| "mlx".to_owned())),
            format: word(&["checkpoint_format", "packing_format", "format", "version"]),
            bits: number(&["bits", "w_bit", "num_bits"]),
            group: number(&["group_size", "q_group_size"]),
            tile: pair(self.value.get("weight_block_size")),
            mode: word(&["mode", "bnb_4bit_quant_type"]),
        };
        if let Some(groups) = self.value.get("config_groups").and_then(Value::as_object) {
            let weights = groups.values().filter_map(|group| group.get("weights"));
            let bits = same(weights.clone().map(|weights| number_of(weights, "num_bits")));
            let group = same(weights.clone().map(|weights| number_of(weights, "group_size")));
            settings.bits = bits.or(settings.bits);
            settings.group = group.or(settings.group);
            settings.tile = same(weights.map(|weights| pair(weights.get("block_structure"))));
        }
        settings
    }

    /// Whether the configuration leaves this module as it was: named under a key of exceptions.
    pub fn leaves_out(&self, weight: &str) -> bool {
        let module = weight.strip_suffix(".weight").unwrap_or(weight);
        let keys = ["ignore", "modules_to_not_convert", "ignored_layers", "exclude_modules", "llm_int8_skip_modules"];
        let lists = keys.into_iter().filter_map(|key| self.value.get(key).and_then(Value::as_array));
        let named = |left_out: &str| module == left_out || module.ends_with(&format!(".{left_out}"));
        lists.flatten().filter_map(Value::as_str).any(named) || self.module(module) == Some(&Value::Bool(false))
    }

    /// The object of one module, as MLX writes it.
    fn module(&self, module: &str) -> Option<&Value> {
        self.value.get(module).or_else(|| self.value.get("layers").and_then(|layers| layers.get(module)))
    }
}

fn word(value: &Value, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| value.get(key).and_then(Value::as_str)).map(str::to_lowercase)
}

fn number(value: &Value, keys: &[&str]) -> Option<u64> {
    keys.iter().find_map(|key| number_of(value, key))
}

fn number_of(value: &Value, key: &str) -> Option<u64> {
    value.get(key).and_then(Value::as_u64)
}

fn pair(value: Option<&Value>) -> Option<[u64; 2]> {
    let [first, second] = value?.as_array()?.as_slice() else { return None };
    Some([first.as_u64()?, second.as_u64()?])
}

/// What all have.
fn same<T: PartialEq>(mut all: impl Iterator<Item = Option<T>>) -> Option<T> {
    let first = all.next()??;
    all.all(|other| other.as_ref() == Some(&first)).then_some(first)
}
