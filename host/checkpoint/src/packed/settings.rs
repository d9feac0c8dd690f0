//! What config.json says about quantization: `quantization_config`, `quantization` (MLX) or `compression_config`; and what
//! ModelOpt's `hf_quant_config.json` says.

use serde_json::Value;

use super::fault::PackedFault;
use super::sizes;

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
    /// That a row or the whole tensor has one scale: the key that says it, and its value.
    pub per_row: Option<(&'static str, String)>,
    /// A key that should have a number, and what it has instead, as JSON.
    pub not_a_number: Option<(String, String)>,
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

    /// The length of `groups` groups of `columns` columns: the stated one, else the only usual one. The last may be
    /// shorter.
    pub(super) fn group_size(&self, weight: &str, columns: u64, groups: u64) -> Result<u64, PackedFault> {
        let unstated = sizes::unstated(columns, groups);
        let found = || unstated.map_or_else(|| format!("{groups} for {columns} columns"), |size| size.to_string());
        match (self.group, &self.per_row) {
            (Some(group), _) if group > 0 && columns.div_ceil(group) == groups => Ok(group),
            (Some(group), _) => Err(contradiction(weight, "group_size", &group.to_string(), &found())),
            (None, Some((key, stated))) if groups != 1 => {
                Err(contradiction(weight, key, stated, &format!("{groups} scales a row")))
            }
            (None, _) => unstated.ok_or_else(|| PackedFault::Group { weight: weight.to_owned(), columns, groups }),
        }
    }

    /// Refuses one scale for a row of `columns` where the configuration states shorter groups.
    pub(super) fn check_row(&self, weight: &str, columns: u64) -> Result<(), PackedFault> {
        if self.group.is_some() { self.group_size(weight, columns, 1).map(|_| ()) } else { Ok(()) }
    }

    /// Refuses values that could not be understood.
    pub(super) fn check_values(&self, weight: &str) -> Result<(), PackedFault> {
        let Some((key, stated)) = &self.not_a_number else { return Ok(()) };
        Err(PackedFault::Value {
            weight: weight.to_owned(),
            key: key.clone(),
            stated: stated.clone(),
            expected: "a whole number",
        })
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

/// The file in which ModelOpt says how it quantized, beside config.json, which need not say it.
pub(crate) const MODELOPT_FILE: &str = "hf_quant_config.json";

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

    /// Finds it in a whole `hf_quant_config.json`: under `quantization`, as MLX has it in config.json.
    pub fn of_modelopt(file: &Value) -> Self {
        let Some(stated) = file.get("quantization").and_then(Value::as_object) else {
            return Self::default();
        };
        let mut value = stated.clone();
        value.insert("quant_method".to_owned(), "modelopt".into());
        Self { value: Value::Object(value), mlx: false }
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
        let number =
            |keys: &[&str]| own.map_or(Number::Absent, |own| number(own, keys)).or(|| number(&self.value, keys));
        let number = |keys: &[&str]| if varies { Number::Absent } else { number(keys) };
        let (mut bits, mut group) = (number(&["bits", "w_bit", "num_bits"]), number(&["group_size", "q_group_size"]));
        let mut settings = Settings {
            method: word(&["quant_method"]).or_else(|| self.mlx.then(|| "mlx".to_owned())),
            format: word(&["checkpoint_format", "packing_format", "format", "version"]),
            tile: pair(self.value.get("weight_block_size")),
            mode: word(&["mode", "bnb_4bit_quant_type"]),
            ..Settings::default()
        };
        if let Some(groups) = self.value.get("config_groups").and_then(Value::as_object) {
            let weights = groups.values().filter_map(|group| group.get("weights"));
            let all = |key| same(weights.clone().map(|weights| number_of(weights, key).stated())).unwrap_or_default();
            (bits, group) = (all("num_bits").or(|| bits), all("group_size").or(|| group));
            let strategy = same(weights.clone().map(|weights| word_of(weights, "strategy")));
            let whole_rows = strategy.filter(|strategy| matches!(strategy.as_str(), "channel" | "tensor"));
            settings.per_row = whole_rows.map(|strategy| ("strategy", strategy));
            settings.tile = same(weights.map(|weights| pair(weights.get("block_structure"))));
        }
        if group == Number::Minus1 {
            settings.per_row = Some(("group_size", "-1".to_owned()));
        }
        (settings.bits, settings.group) = (bits.value(), group.value());
        let unread = [("bits", bits), ("group_size", group)].into_iter().find_map(|(key, number)| match number {
            Number::Other(stated) => Some((key.to_owned(), stated)),
            Number::Minus1 if key == "bits" => Some((key.to_owned(), "-1".to_owned())),
            _ => None,
        });
        settings.not_a_number = unread;
        settings
    }

    /// Whether the configuration leaves this module as it was: named under a key of exceptions.
    pub fn leaves_out(&self, weight: &str) -> bool {
        let module = weight.strip_suffix(".weight").unwrap_or(weight);
        let keys = ["ignore", "modules_to_not_convert", "ignored_layers", "exclude_modules", "llm_int8_skip_modules"];
        let lists = keys.into_iter().filter_map(|key| self.value.get(key).and_then(Value::as_array));
        let named = |left_out: &str| match left_out.strip_suffix('*') {
            Some(start) => module.starts_with(start),
            None => module == left_out || module.ends_with(&format!(".{left_out}")),
        };
        lists.flatten().filter_map(Value::as_str).any(named) || self.module(module) == Some(&Value::Bool(false))
    }

    /// The object of one module, as MLX writes it, or ModelOpt for mixed precisions.
    fn module(&self, module: &str) -> Option<&Value> {
        let lists = ["layers", "quantized_layers"].into_iter().filter_map(|key| self.value.get(key));
        std::iter::once(&self.value).chain(lists).find_map(|list| list.get(module))
    }
}

/// What stands where a number of bits or a group size is expected.
#[derive(Debug, Clone, Default, PartialEq)]
enum Number {
    /// Nothing, or null.
    #[default]
    Absent,
    /// A number, perhaps as a string.
    Whole(u64),
    /// -1, which for a group size is the whole row.
    Minus1,
    /// Something else, as JSON.
    Other(String),
}

impl Number {
    fn or(self, other: impl FnOnce() -> Self) -> Self {
        if self == Self::Absent { other() } else { self }
    }

    fn stated(self) -> Option<Self> {
        Some(self).filter(|number| *number != Self::Absent)
    }

    fn value(&self) -> Option<u64> {
        if let Self::Whole(number) = self { Some(*number) } else { None }
    }
}

fn word(value: &Value, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| word_of(value, key))
}

fn word_of(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_lowercase)
}

fn number(value: &Value, keys: &[&str]) -> Number {
    keys.iter().find_map(|key| number_of(value, key).stated()).unwrap_or_default()
}

fn number_of(value: &Value, key: &str) -> Number {
    let found = value.get(key).unwrap_or(&Value::Null);
    let integer = match found {
        Value::Null => return Number::Absent,
        Value::String(text) => text.trim().parse::<i128>().ok(),
        other => other.as_u64().map(i128::from).or_else(|| other.as_i64().map(i128::from)),
    };
    match integer.map(u64::try_from) {
        Some(Ok(number)) => Number::Whole(number),
        Some(Err(_)) if integer == Some(-1) => Number::Minus1,
        _ => Number::Other(found.to_string()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn modelopt_says_it_in_a_file_of_its_own() {
        let file = json!({ "producer": { "name": "modelopt" }, "quantization": {
            "quant_algo": "NVFP4", "group_size": 16, "exclude_modules": ["lm_head", "model.layers.0.self_attn*"],
            "quantized_layers": { "model.layers.1.mlp.up_proj": { "quant_algo": "FP8", "group_size": 32 } },
        } });
        let configuration = Configuration::of_modelopt(&file);
        assert!(configuration.is_stated());
        let settings = configuration.of("model.layers.3.mlp.up_proj.weight");
        assert_eq!((settings.method.as_deref(), settings.group), (Some("modelopt"), Some(16)));
        assert_eq!(configuration.of("model.layers.1.mlp.up_proj.weight").group, Some(32));
        for (weight, left_out) in [
            ("lm_head.weight", true),
            ("model.layers.0.self_attn.q_proj.weight", true),
            ("model.layers.1.self_attn.q_proj.weight", false),
        ] {
            assert_eq!(configuration.leaves_out(weight), left_out, "{weight}");
        }
        assert!(!Configuration::of_modelopt(&json!({})).is_stated());
    }
}
