//! How numbers are written, in one place: digits, groups, units, and `n/a` for what is undefined.

/// What is written for an undefined value.
pub const UNDEFINED: &str = "n/a";

/// Between groups of three digits: a narrow no-break space.
const GROUP: char = '\u{202f}';

/// A kurtosis, Pearson or excess: two decimals below 100, one below 1000, then whole numbers in groups.
pub fn kurtosis(value: Option<f64>) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else {
        return UNDEFINED.to_owned();
    };
    match value.abs() {
        size if size < 99.995 => signed(format!("{value:.2}")),
        size if size < 999.95 => format!("{value:.1}"),
        size if size < 999_999.5 => grouped(&format!("{value:.0}")),
        _ => format!("{value:.2e}"),
    }
}

/// A distance in standard deviations, without its sign: `135.2σ`.
pub fn sigmas(z: Option<f64>) -> String {
    z.filter(|z| z.is_finite()).map_or_else(|| UNDEFINED.to_owned(), |z| format!("{:.1}σ", z.abs()))
}

/// Decibels, with one decimal and without the unit.
pub fn decibels(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or_else(|| UNDEFINED.to_owned(), |value| signed(format!("{value:.1}")))
}

/// A fraction as a percentage of three significant digits at most: `3.8 %`.
pub fn percent(fraction: f64) -> String {
    let percent = 100.0 * fraction;
    match percent {
        _ if !percent.is_finite() => UNDEFINED.to_owned(),
        _ if percent >= 99.95 => format!("{percent:.0} %"),
        _ if percent >= 9.995 => format!("{percent:.1} %"),
        _ if percent >= 0.01 || percent == 0.0 => format!("{} %", significant(percent, 2)),
        _ => "under 0.01 %".to_owned(),
    }
}

/// A number of any size with `digits` significant digits, trailing zeros dropped; scientific outside 1e-4 to 1e6.
pub fn significant(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return UNDEFINED.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let decimals = digits.saturating_sub(1);
    let scientific = format!("{value:.decimals$e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    match exponent.parse::<i32>() {
        Ok(exponent @ -4..=5) => {
            let decimals = usize::try_from(decimals as i32 - exponent).unwrap_or(0);
            without_trailing_zeros(&format!("{value:.decimals$}")).to_owned()
        }
        _ => format!("{}e{exponent}", without_trailing_zeros(mantissa)),
    }
}

/// A count in groups of three digits.
pub fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// A count of three significant digits with K, M, G or T behind: `125M`.
pub fn scaled(value: u64) -> String {
    let (number, prefix) = prefixed(value as f64, &["", "K", "M", "G", "T"]);
    format!("{number}{prefix}")
}

/// Bytes in decimal units: `250 MB`.
pub fn bytes(value: u64) -> String {
    amount_of_bytes(value as f64)
}

/// Bytes a second; `n/a` where no time passed.
pub fn rate(bytes: u64, seconds: f64) -> String {
    let rate = bytes as f64 / seconds;
    if rate.is_finite() && seconds > 0.0 { format!("{}/s", amount_of_bytes(rate)) } else { UNDEFINED.to_owned() }
}

/// A duration in seconds, or minutes and hours where it is long: `1.42 s`, `12 min 5 s`.
pub fn duration(seconds: f64) -> String {
    if !(0.0..1e9).contains(&seconds) {
        return UNDEFINED.to_owned();
    }
    if seconds < 119.5 {
        return format!("{} s", significant(seconds, 3));
    }
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{} h {minutes} min", count(hours)),
    }
}

/// Dimensions: `768×768`; `scalar` without any.
pub fn shape(dimensions: &[u64]) -> String {
    if dimensions.is_empty() {
        return "scalar".to_owned();
    }
    dimensions.iter().map(u64::to_string).collect::<Vec<_>>().join("×")
}

/// A position: `[12, 45]`.
pub fn index(position: &[u64]) -> String {
    format!("[{}]", position.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))
}

fn amount_of_bytes(value: f64) -> String {
    let (number, prefix) = prefixed(value, &["", "k", "M", "G", "T"]);
    format!("{number} {prefix}B")
}

/// `value` with three significant digits at most under the first prefix that leaves fewer than four digits.
fn prefixed<'a>(mut value: f64, prefixes: &[&'a str]) -> (String, &'a str) {
    for prefix in prefixes {
        if value < 999.5 {
            return (significant(value, 3), prefix);
        }
        value /= 1000.0;
    }
    (grouped(&format!("{:.0}", value * 1000.0)), prefixes.last().unwrap_or(&""))
}

/// `-0.00` is 0.00.
fn signed(number: String) -> String {
    match number.strip_prefix('-') {
        Some(digits) if digits.chars().all(|digit| matches!(digit, '0' | '.')) => digits.to_owned(),
        _ => number,
    }
}

fn without_trailing_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// Groups the digits of a whole number; numbers of four digits stay together.
fn grouped(whole: &str) -> String {
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut text = String::from(sign);
    for (place, digit) in digits.chars().enumerate() {
        let left = digits.len() - place;
        if place > 0 && digits.len() > 4 && left.is_multiple_of(3) {
            text.push(GROUP);
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kurtosis_has_sensible_digits() {
        let cases = [
            (Some(3.0), "3.00"),
            (Some(-0.001), "0.00"),
            (Some(-1.2), "-1.20"),
            (Some(99.996), "100.0"),
            (Some(562.34), "562.3"),
            (Some(16021.4), "16\u{202f}021"),
            (Some(5.89e7), "5.89e7"),
            (Some(f64::NAN), "n/a"),
            (None, "n/a"),
        ];
        for (value, text) in cases {
            assert_eq!(kurtosis(value), text, "{value:?}");
        }
    }

    #[test]
    fn significant_digits_of_any_size() {
        let cases = [
            (0.0, "0"),
            (-4.2149, "-4.21"),
            (1.0, "1"),
            (0.000_123_4, "0.000123"),
            (1.2e-7, "1.2e-7"),
            (9.999, "10"),
            (65_504.0, "65504"),
            (1e300, "1e300"),
        ];
        for (value, text) in cases {
            assert_eq!(significant(value, 3), text, "{value}");
        }
    }

    #[test]
    fn counts_and_units() {
        assert_eq!(count(9999), "9999");
        assert_eq!(count(125_239_296), "125\u{202f}239\u{202f}296");
        assert_eq!(scaled(125_239_296), "125M");
        assert_eq!(scaled(1_300_000_000), "1.3G");
        assert_eq!(scaled(999), "999");
        assert_eq!(scaled(u64::MAX), "18\u{202f}446\u{202f}744T");
        assert_eq!(bytes(250_478_592), "250 MB");
        assert_eq!(rate(250_000_000, 1.25), "200 MB/s");
        assert_eq!(rate(1, 0.0), "n/a");
    }

    #[test]
    fn percentages_durations_and_shapes() {
        assert_eq!(
            [percent(0.038), percent(1.5), percent(0.0), percent(1e-9)],
            ["3.8 %", "150 %", "0 %", "under 0.01 %"]
        );
        assert_eq!([duration(1.4249), duration(725.0), duration(7300.0)], ["1.42 s", "12 min 5 s", "2 h 1 min"]);
        assert_eq!([shape(&[50272, 768]), shape(&[])], ["50272×768", "scalar"]);
        assert_eq!(index(&[12, 45]), "[12, 45]");
        assert_eq!([sigmas(Some(-135.23)), decibels(Some(-0.01)), sigmas(None)], ["135.2σ", "0.0", "n/a"]);
    }
}
